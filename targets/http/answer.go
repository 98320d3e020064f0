package http

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/theory/jsonpath"

	"github.com/cachedrill/cachedrill/targets"
)

// Answer has the extractors of a family's answers. What the service does not answer has no
// extractor, and what depends on it is unknown then.
type Answer struct {
	token   extractor
	version extractor
	owner   map[string]extractor // by dimension: the key that the value belongs to
	tier    extractor
	layer   string            // the one of several caches that counts: first, last, its number, or its name in Cache-Status
	tiers   map[string]string // the service's own words for its tiers, in lower case
	worker  extractor
}

// GarbledError is an answer with a good status that does not hold what it should.
type GarbledError struct {
	Why string
	// Fix is what the suite may say when the answer is how the service tells that there is no such
	// thing; empty: it does not look so.
	Fix string

	cause error
}

// Unwrap gives what the answer was read with, if that failed.
func (e *GarbledError) Unwrap() error { return e.cause }

func (e *GarbledError) Error() string { return targets.ErrUnreadable.Error() + ": " + e.Why }

// Is says that it is a [targets.ErrUnreadable].
func (e *GarbledError) Is(target error) bool { return target == targets.ErrUnreadable }

// foreignValue stands for a value that no write of a drill stored, where the value itself has no
// text.
const foreignValue = "(empty)"

// read takes the reply out of a good answer to a read.
func (a *Answer) read(from *received, k targets.Key, tokens *targets.Tokens) (targets.Reply, error) {
	var r targets.Reply
	garbled := func(at extractor, what string, err error) error {
		why := "nothing at " + at.String()
		if err != nil {
			why = err.Error()
		}
		return &GarbledError{fmt.Sprintf("%s: %s; it begins with %s", what, why, from.shown()), from.absentAs(at), err}
	}
	if a.token.set() {
		text, ok, err := from.find(a.token)
		if err != nil || !ok {
			return r, garbled(a.token, "token", err)
		}
		r.Token = tokenIn(text, k, tokens)
	}
	if a.version.set() {
		r.Version, _, _ = a.versionIn(from) // 0: this answer has none that can be used
	}
	r.Tier, r.Worker = a.origin(from)
	// The owner is known only of values that this run wrote; others may describe theirs as they
	// like.
	if len(a.owner) > 0 && targets.Holds(tokens.Run(), r.Token) != targets.NoToken {
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

// absentAs is how the suite would say that an answer without anything at a place means that there
// is no such thing.
func (a *received) absentAs(at extractor) string {
	if a.blank() {
		if a.status == 204 || a.status == 205 {
			return fmt.Sprintf("absent: [%d]", a.status)
		}
		return "absent: {json: $, is: empty}"
	}
	doc, err := a.json()
	switch {
	case err != nil || a.carriesErrors():
		return ""
	case doc == nil:
		return "absent: {json: $, is: null}"
	case emptyValue(doc):
		return "absent: {json: $, is: empty}"
	}
	// The nearest thing above the value that is null or empty: $.data.item of $.data.item.title.
	steps := strings.Split(at.text, ".")
	for n := 2; at.path != nil && n <= len(steps); n++ {
		path, err := jsonpath.Parse(strings.Join(steps[:n], "."))
		if err != nil {
			return ""
		}
		for _, is := range []string{"null", "empty", "absent"} {
			c := condition{extractor{path: path, text: strings.Join(steps[:n], ".")}, is}
			if c.holds(a) {
				return fmt.Sprintf("absent: {json: %s, is: %s}", c.at.text, is)
			}
		}
	}
	return ""
}

// versionIn finds a version, which may be written as an entity tag, such as W/"7-gzip". ok is false
// where there is none; an error says why what is there is none.
func (a *Answer) versionIn(from *received) (v uint64, ok bool, err error) {
	if a.version.path != nil {
		if _, err := from.json(); err != nil { // 204 after a deletion, say
			return 0, false, nil
		}
	}
	text, ok, err := from.find(a.version)
	if err != nil || !ok || text == "" {
		return 0, false, err
	}
	number := strings.Trim(strings.TrimPrefix(text, "W/"), `"`)
	for _, coding := range []string{"-gzip", ";gzip", "--gzip", "-br", "-zstd", "-deflate", "-df"} {
		number = strings.TrimSuffix(number, coding) // servers mark the tag of what they packed
	}
	v, err = strconv.ParseUint(number, 10, 63)
	if err != nil {
		return 0, false, fmt.Errorf("%q at %s is no whole number", text, a.version)
	}
	return v, true, nil
}

// origin gives the tier and the worker that an answer names, if it does.
func (a *Answer) origin(from *received) (tier, worker string) {
	tier = a.tierIn(from)
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

// tokenIn finds the token that a run's write stored, in a text that may hold more, such as a title
// around it. A text without a token is a foreign value, and is given as it is.
func tokenIn(text string, k targets.Key, tokens *targets.Tokens) string {
	token, _ := tokens.Read(text, k)
	if token == "" {
		return foreignValue
	}
	return token
}

// codes are statuses of HTTP that mean one thing.
type codes []int

func (c codes) has(status int) bool { return slices.Contains(c, status) }

// another reports whether a token of the run was written for another key.
func another(token string, k targets.Key) bool {
	t, ok := targets.ParseToken(token)
	return ok && !t.For(k)
}
