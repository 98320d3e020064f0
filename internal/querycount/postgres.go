package querycount

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Requests that stand where a startup message does (PostgreSQL documentation, "Message Formats").
const (
	sslRequest    = 80877103
	gssEncRequest = 80877104
)

// mostKept is how much of a message is looked at: names, and the beginning of a query.
const mostKept = 4096

// postgres follows what a client of PostgreSQL says. Every query that reads is counted when it is
// asked to be executed. It never fails: what it does not understand it lets pass.
type postgres struct {
	read, blind func()

	started bool
	lost    bool // it is encrypted, or no protocol of PostgreSQL

	head [5]byte // type, and length with itself
	has  int     // bytes of head
	left int     // bytes of the body that are still to come
	body []byte  // its first ones

	reads   map[string]bool // prepared statements, by name: whether they read
	portals map[string]bool // likewise
}

// Write implements [io.Writer], and always takes everything.
func (p *postgres) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 && !p.lost {
		if need := p.need(); p.has < need {
			if !p.started && p.has == 0 && b[0] == 0x16 { // a handshake of TLS
				p.lose()
				break
			}
			k := copy(p.head[p.has:need], b)
			p.has += k
			b = b[k:]
			if p.has < need {
				break
			}
			size := int(binary.BigEndian.Uint32(p.head[need-4 : need]))
			if size < 4 || size > 1<<30 {
				p.lose()
				break
			}
			p.left, p.body = size-4, p.body[:0]
		}
		k := min(p.left, len(b))
		p.body = append(p.body, b[:min(k, max(0, mostKept-len(p.body)))]...)
		p.left -= k
		b = b[k:]
		if p.left == 0 {
			p.message()
			p.has = 0
		}
	}
	return n, nil
}

func (p *postgres) lose() {
	p.lost = true
	p.blind()
}

// need is how long a head is: startup messages have no type.
func (p *postgres) need() int {
	if p.started {
		return 5
	}
	return 4
}

func (p *postgres) message() {
	if !p.started {
		if len(p.body) >= 4 {
			if code := binary.BigEndian.Uint32(p.body); code == sslRequest || code == gssEncRequest {
				return // another startup message follows, or a handshake
			}
		}
		p.started = true
		p.reads, p.portals = map[string]bool{}, map[string]bool{}
		return
	}
	switch p.head[0] {
	case 'Q':
		query, _ := text(p.body)
		p.count(reads(query))
	case 'P':
		name, rest := text(p.body)
		query, _ := text(rest)
		p.reads[name] = reads(query)
	case 'B':
		portal, rest := text(p.body)
		statement, _ := text(rest)
		p.portals[portal] = p.reads[statement]
	case 'E':
		portal, _ := text(p.body)
		p.count(p.portals[portal])
	}
}

func (p *postgres) count(reads bool) {
	if reads {
		p.read()
	}
}

// text cuts a string that ends with a zero byte, or with what was kept.
func text(b []byte) (s string, rest []byte) {
	if end := bytes.IndexByte(b, 0); end >= 0 {
		return string(b[:end]), b[end+1:]
	}
	return string(b), nil
}

// reads says whether a query begins as one that reads.
func reads(query string) bool {
	word := strings.ToUpper(strings.TrimLeft(query, " \t\r\n("))
	for _, w := range []string{"SELECT", "WITH", "TABLE", "VALUES"} {
		if strings.HasPrefix(word, w) {
			return true
		}
	}
	return false
}
