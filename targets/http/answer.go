package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	nethttp "net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/theory/jsonpath"

	"github.com/cachedrill/cachedrill/targets"
)

// place is where in an answer something stands: exactly one of a header, a JSON path, or the first group of a regular
// expression over the body. The zero place is nowhere.
type place struct {
	header string
	path   *jsonpath.Path
	text   string // the path as it was written
	expr   *regexp.Regexp
	body   bool // all of it
}

func (p place) somewhere() bool { return p.header != "" || p.path != nil || p.expr != nil || p.body }

// String gives the place as messages name it.
func (p place) String() string {
	switch {
	case p.header != "":
		return "header " + p.header
	case p.path != nil:
		return p.text
	case p.expr != nil:
		return "/" + p.expr.String() + "/"
	case p.body:
		return "the body"
	}
	return "nowhere"
}

// received is an answer on its way to being understood.
type received struct {
	status int
	header nethttp.Header
	body   []byte

	parsed bool
	doc    any
	err    error // of parsing the body as JSON
}

func (a *received) json() (any, error) {
	if !a.parsed {
		a.parsed = true
		a.doc, a.err = parseJSON(a.body)
	}
	return a.doc, a.err
}

// parser is a decoder that is used again, with its buffer, for one body after the other.
type parser struct {
	from bytes.Reader
	*json.Decoder
}

var parsers = sync.Pool{New: func() any {
	p := &parser{}
	p.Decoder = json.NewDecoder(&p.from)
	p.UseNumber()
	return p
}}

// mostKept is the longest body whose buffer is kept.
const mostKept = 64 << 10

// parseJSON reads a body that is one document.
func parseJSON(body []byte) (doc any, err error) {
	body = bytes.TrimRight(body, " \t\r\n")
	p := parsers.Get().(*parser)
	p.from.Reset(body)
	begin := p.InputOffset()
	if err := p.Decode(&doc); err != nil {
		return nil, err // and the decoder, which is in the middle of something, is not used again
	}
	if p.InputOffset()-begin != int64(len(body)) {
		return nil, errors.New("something follows the document") // likewise
	}
	p.from.Reset(nil)
	if len(body) <= mostKept {
		parsers.Put(p)
	}
	return doc, nil
}

// find gives what stands at the place. ok is false where nothing does; err says that the answer can't be read there.
func (a *received) find(p place) (s string, ok bool, err error) {
	switch {
	case p.header != "":
		v := a.header.Values(p.header)
		if len(v) == 0 {
			return "", false, nil
		}
		return v[0], true, nil
	case p.path != nil:
		doc, err := a.json()
		if err != nil {
			return "", false, fmt.Errorf("its body is no JSON: %w", err)
		}
		found := p.path.Select(doc)
		if len(found) == 0 || found[0] == nil {
			return "", false, nil
		}
		switch v := found[0].(type) {
		case string:
			return v, true, nil
		case json.Number:
			return v.String(), true, nil
		case bool:
			return strconv.FormatBool(v), true, nil
		}
		return "", false, fmt.Errorf("%s is not a single value", p)
	case p.expr != nil:
		m := p.expr.FindSubmatch(a.body)
		if m == nil {
			return "", false, nil
		}
		return string(m[1]), true, nil
	case p.body:
		return string(a.body), true, nil
	}
	return "", false, nil
}

// Answer says where in an answer things stand. A place that the service does not have is left out, and what depends on it
// is unknown then.
type Answer struct {
	token   place
	version place
	owner   map[string]place // by dimension: whose value it is
	tier    place
	tiers   map[string]string // the service's own words for its tiers, in lower case
	worker  place
}

// tierWords are what services commonly say of where an answer came from, in lower case.
var tierWords = map[string]string{
	"l1": targets.TierL1, "memory": targets.TierL1, "local": targets.TierL1,
	"l2": targets.TierL2, "redis": targets.TierL2, "hit": targets.TierL2, "cache": targets.TierL2, "stale": targets.TierL2, "updating": targets.TierL2,
	"l3": targets.TierSource, "source": targets.TierSource, "miss": targets.TierSource, "expired": targets.TierSource, "db": targets.TierSource,
	"database": targets.TierSource, "revalidated": targets.TierSource,
	"bypass": targets.TierBypass,
}

// tierOf translates the service's word. A word that means nothing to us gives no tier.
func (a *Answer) tierOf(word string) string {
	word = strings.ToLower(strings.TrimSpace(word))
	if t, ok := a.tiers[word]; ok {
		return t
	}
	return tierWords[word]
}

// GarbledError is an answer that says ok, and does not hold what it should.
type GarbledError struct{ Why string }

func (e *GarbledError) Error() string { return "the answer can't be understood: " + e.Why }

// mostShown is how much of an answer messages quote.
const mostShown = 80

func (a *received) shown() string {
	b := a.body
	if len(b) > mostShown {
		return strconv.Quote(string(b[:mostShown])) + "..."
	}
	return strconv.Quote(string(b))
}

// foreignValue stands for a value that no write of a drill stored, where the value itself has no text.
const foreignValue = "(empty)"

// read takes the reply out of a good answer to a read.
func (a *Answer) read(from *received, k targets.Key, run string) (targets.Reply, error) {
	var r targets.Reply
	garbled := func(at place, what string, err error) error {
		why := "nothing at " + at.String()
		if err != nil {
			why = err.Error()
		}
		return &GarbledError{fmt.Sprintf("%s: %s; it begins with %s", what, why, from.shown())}
	}
	if a.token.somewhere() {
		text, ok, err := from.find(a.token)
		if err != nil || !ok {
			return r, garbled(a.token, "token", err)
		}
		r.Token = tokenIn(text, run)
	}
	if a.version.somewhere() {
		v, _, err := a.versionIn(from)
		if err != nil {
			return r, garbled(a.version, "version", err)
		}
		r.Version = v // 0: this answer tells none
	}
	r.Tier, r.Worker = a.origin(from)
	// Only of values that this run wrote is it known whose they are: what others store is theirs to describe.
	if len(a.owner) > 0 && ours(r.Token, run) {
		r.Owner = k
		for dimension, at := range a.owner {
			text, ok, err := from.find(at)
			if err != nil || !ok {
				return r, garbled(at, "owner", err)
			}
			*field(&r.Owner, dimension) = text
		}
	}
	return r, nil
}

// versionIn finds a version, which may be written as an entity tag.
func (a *Answer) versionIn(from *received) (v uint64, ok bool, err error) {
	text, ok, err := from.find(a.version)
	if err != nil || !ok {
		return 0, false, err
	}
	v, err = strconv.ParseUint(strings.Trim(strings.TrimPrefix(text, "W/"), `"`), 10, 64)
	if err != nil || v == 0 {
		return 0, false, fmt.Errorf("%q at %s is no whole number from 1 on", text, a.version)
	}
	return v, true, nil
}

// origin gives the tier and the worker that an answer names, if it does.
func (a *Answer) origin(from *received) (tier, worker string) {
	if text, ok, _ := from.find(a.tier); ok {
		tier = a.tierOf(text)
	}
	worker, _, _ = from.find(a.worker)
	return tier, worker
}

// field is the part of a key that a dimension names.
func field(k *targets.Key, dimension string) *string {
	switch dimension {
	case "tenant":
		return &k.Tenant
	case "locale":
		return &k.Locale
	case "currency":
		return &k.Currency
	case "variant":
		return &k.Variant
	}
	return &k.ID
}

var dimensions = []string{"tenant", "locale", "currency", "variant", "key"}

// tokenIn finds the token that a run's write stored in a text that may hold more, such as a title around it. A text without
// one is somebody else's value.
func tokenIn(text, run string) string {
	if run != "" {
		if at := strings.Index(text, run+"."); at >= 0 {
			end := at
			for end < len(text) && tokenByte(text[end]) {
				end++
			}
			return text[at:end]
		}
	}
	if text == "" {
		return foreignValue
	}
	return text
}

func tokenByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.'
}

func ours(token, run string) bool { return run != "" && strings.HasPrefix(token, run+".") }

// codes are statuses of HTTP that mean one thing.
type codes []int

func (c codes) has(status int) bool { return slices.Contains(c, status) }
