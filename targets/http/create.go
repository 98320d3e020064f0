package http

import (
	"cmp"
	nethttp "net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/cachedrill/cachedrill/targets"
)

// idAt is where in an answer the id of what was created is.
type idAt struct {
	extractor
	part *regexp.Regexp // of what the extractor finds; nil: all of it
}

// in finds the id in an answer: of Location, it is the last part of the path.
func (c idAt) in(a *received) (string, error) {
	text, _, err := a.find(c.extractor)
	if err != nil {
		return "", &GarbledError{Why: "id: " + err.Error(), cause: err}
	}
	switch {
	case c.part != nil:
		m := c.part.FindStringSubmatch(text)
		if m == nil {
			text = ""
			break
		}
		text = m[1]
	case nethttp.CanonicalHeaderKey(c.header) == "Location":
		if u, err := url.Parse(text); err == nil {
			text = strings.TrimRight(u.Path, "/")
			text = text[strings.LastIndexByte(text, '/')+1:]
		}
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", &GarbledError{Why: "no id at " + c.String() + "; it begins with " + a.shown()}
	}
	return text, nil
}

// holding is what is known of the id of a key. The zero holding is of a key that has none.
type holding struct {
	id     string
	turn   int  // 1 is the first thing that stood for the key
	gone   bool // it was deleted
	open   bool // whether it was deleted is unknown
	reused bool // the service gave the id to another key before
}

// names are the ids that the service gave to keys. Safe for concurrent use.
type names struct {
	mu     sync.Mutex
	held   map[targets.Key]holding
	holder map[targets.Key]targets.Key // of an id: the key without its number, and the id in its place
	sample map[string]string           // by family: an id as the service makes them
}

func (n *names) of(k targets.Key) holding {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.held[k]
}

// give notes that an id stands for a key from now on. Two keys can't have the same one, unless the
// first was deleted: such an id is the second one's then.
func (n *names) give(k targets.Key, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held == nil {
		n.held, n.holder, n.sample = map[targets.Key]holding{}, map[targets.Key]targets.Key{}, map[string]string{}
	}
	at := k
	at.ID = id
	h := holding{id: id, turn: n.held[k].turn + 1}
	if other, ok := n.holder[at]; ok && other != k {
		former := n.held[other]
		if former.id == id && !former.gone && !former.open {
			return &GarbledError{Why: "the id " + id + " is that of " + other.String() + " already"}
		}
		if former.id == id {
			n.held[other] = holding{turn: former.turn}
		}
		h.reused = true
	}
	n.held[k], n.holder[at] = h, k
	n.sample[k.Family] = cmp.Or(n.sample[k.Family], id)
	return nil
}

// end notes that what had an id was deleted, or may have been.
func (n *names) end(k targets.Key, id string, surely bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.held[k]; h.id == id && id != "" {
		h.gone, h.open = h.gone || surely, !surely
		n.held[k] = h
	}
}

// none gives a name that the service has for no key, of the form of those that it gives.
func (n *names) none(form *keyForm, k targets.Key) string {
	n.mu.Lock()
	sample := n.sample[k.Family]
	n.mu.Unlock()
	switch {
	case form.form != "" || form.pattern != nil:
		return form.name(targets.BeyondKeys(k.String()))
	case sample == "":
		return targets.BeyondKeys(k.String())
	}
	return like(sample, k.String())
}

// like makes an ID that looks as another one does, always the same one of a seed.
func like(sample, seed string) string {
	digits := len(sample) - len(strings.TrimRight(sample, "0123456789"))
	keep := strings.LastIndexByte(sample, '_') + 1 // itm_
	changes := 0
	for _, c := range sample[keep:] {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			changes++
		}
	}
	if digits > 0 && digits <= 10 && (digits == len(sample)-keep || changes < 12) { // they are counted
		return sample[:len(sample)-digits] + targets.BeyondKeys(seed)
	}
	hex := strings.Trim(strings.ToLower(sample[keep:]), "0123456789abcdef-") == ""
	uuid := len(sample) == 36 && strings.Count(sample, "-") == 4
	lower, from := "abcdefghjkmnpqrstvwxyz", crockford(seed, 32)
	if hex {
		lower = "abcdef"
	}
	b := []byte(sample)
	for i := keep; i < len(b); i++ {
		at := int(from[i%32]) + i/32
		switch c := b[i]; {
		case i == keep, uuid && (i == 14 || i == 19): // its first digit, and the kind of a UUID
		case c >= '0' && c <= '9':
			b[i] = "0123456789"[at%10]
		case c >= 'a' && c <= 'z':
			b[i] = lower[at%len(lower)]
		case c >= 'A' && c <= 'Z':
			b[i] = strings.ToUpper(lower)[at%len(lower)]
		}
	}
	return string(b)
}
