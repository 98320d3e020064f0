package http

import (
	"bytes"
	"fmt"
	nethttp "net/http"
	"regexp"
	"strconv"

	"github.com/theory/jsonpath"
)

// extractor takes one text out of an answer: from a header, by a JSON path, by the first group of a
// regular expression over the body, or the whole body. Exactly one of them is set; the zero
// extractor finds nothing.
type extractor struct {
	header string
	path   *jsonpath.Path
	text   string // the path as the suite has it
	expr   *regexp.Regexp
	body   bool // the whole body
}

// set reports whether the extractor can find anything.
func (x extractor) set() bool { return x.header != "" || x.path != nil || x.expr != nil || x.body }

// String gives the extractor as messages name it.
func (x extractor) String() string {
	switch {
	case x.header != "":
		return "header " + x.header
	case x.path != nil:
		return x.text
	case x.expr != nil:
		return "/" + x.expr.String() + "/"
	case x.body:
		return "the body"
	}
	return "nowhere"
}

// received is an answer before it is decoded. Its body is parsed as JSON at most once.
type received struct {
	status int
	header nethttp.Header
	body   []byte

	parsed bool
	doc    any
	err    error // from parsing the body as JSON
}

func (a *received) json() (any, error) {
	if !a.parsed {
		a.parsed = true
		a.doc, a.err = parseJSON(a.body)
	}
	return a.doc, a.err
}

// find applies an extractor. ok is false when there is nothing; err is set when the answer can't be
// read that way.
func (a *received) find(x extractor) (s string, ok bool, err error) {
	switch {
	case x.header != "":
		v := a.header.Values(x.header)
		for i := 1; i < len(v); i++ {
			if v[i] != v[0] {
				return "", false, fmt.Errorf("%s stands there twice, as %q and %q", x, v[0], v[i])
			}
		}
		if len(v) == 0 {
			return "", false, nil
		}
		return v[0], true, nil
	case x.path != nil:
		doc, err := a.json()
		if err != nil {
			return "", false, fmt.Errorf("its body is no JSON: %w", err)
		}
		return x.one(x.path.Select(doc))
	case x.expr != nil:
		m := x.expr.FindSubmatch(a.body)
		if m == nil {
			return "", false, nil
		}
		return string(m[1]), true, nil
	case x.body:
		return string(a.body), true, nil
	}
	return "", false, nil
}

// several reports whether the extractor may find more than one value.
func (x extractor) several() bool { return x.path != nil && x.path.Query().Singular() == nil }

// one gives the value that a path selects: all that it selects must be the same.
func (x extractor) one(found []any) (s string, ok bool, err error) {
	for _, v := range found {
		if v == nil {
			continue
		}
		text, single := scalar(v)
		switch {
		case !single:
			return "", false, fmt.Errorf("%s is not a single value", x)
		case ok && text != s:
			return "", false, &ambiguousError{fmt.Sprintf("%s selects %d values, which differ: %.40q, %.40q", x, len(found), s, text)}
		}
		s, ok = text, true
	}
	return s, ok, nil
}

// ambiguousError is that of an answer that holds several values where one is looked for.
type ambiguousError struct{ why string }

func (e *ambiguousError) Error() string { return e.why }

// blank reports whether there is nothing in the body.
func (a *received) blank() bool { return len(bytes.TrimSpace(a.body)) == 0 }

// mostShown is how much of an answer messages quote.
const mostShown = 80

// shown is the beginning of the body, quoted.
func (a *received) shown() string {
	b := a.body
	if len(b) > mostShown {
		return strconv.Quote(string(b[:mostShown])) + "..."
	}
	return strconv.Quote(string(b))
}
