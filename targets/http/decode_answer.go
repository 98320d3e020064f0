package http

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/theory/jsonpath"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/targets"
)

func decodeAnswer(n strictyaml.Node) Answer {
	f := n.Fields("the answer", "token", "version", "owner", "tier", "worker")
	a := Answer{
		token:   decodeExtractor(f["token"], "token"),
		version: decodeExtractor(f["version"], "version"),
		worker:  decodeExtractor(f["worker"], "worker"),
	}
	if o := f["owner"]; o.Present() {
		a.owner = map[string]extractor{}
		named := false
		for _, e := range o.Entries("the owner") {
			named = named || slices.Contains(dimensions, e.Name)
		}
		if !named { // one extractor alone is the tenant's
			a.owner["tenant"] = decodeExtractor(o, "owner")
		} else {
			for name, at := range o.Fields("the owner", dimensions...) {
				if at.Present() {
					a.owner[name] = decodeExtractor(at, "owner's "+name)
				}
			}
		}
	}
	if t := f["tier"]; t.Present() {
		a.tier, a.tiers = decodeTier(t)
		a.layer = decodeLayer(t)
	}
	return a
}

// decodeTier reads {header: X-Cache, l2: [HIT], source: [MISS]}.
func decodeTier(n strictyaml.Node) (extractor, map[string]string) {
	known := []string{targets.TierL1, targets.TierL2, targets.TierSource, targets.TierBypass}
	f := n.Fields("the tier", append([]string{"header", "json", "regexp", "layer"}, known...)...)
	words := map[string]string{}
	for _, tier := range known {
		for _, w := range f[tier].List("the service's words") {
			words[strings.ToLower(w.String("a word"))] = tier
		}
	}
	return extractorOf(n, f, "tier"), words
}

// decodeLayer reads which of several caches counts.
func decodeLayer(n strictyaml.Node) string {
	for _, e := range n.Entries("the tier") {
		if e.Name == "layer" {
			return e.Value.String("a layer")
		}
	}
	return ""
}

func decodeExtractor(n strictyaml.Node, what string) extractor {
	if !n.Present() {
		return extractor{}
	}
	if !n.IsMap() && n.String(what) == "body" {
		return extractor{body: true}
	}
	return extractorOf(n, n.Fields("the "+what, "header", "json", "regexp"), what)
}

func extractorOf(n strictyaml.Node, f map[string]strictyaml.Node, what string) (x extractor) {
	given := 0
	for _, name := range []string{"header", "json", "regexp"} {
		if f[name].Present() {
			given++
		}
	}
	if given != 1 {
		n.Fail("", "where is the "+what+"?", "one of {header: X-Name}, {json: $.path}, {regexp: 'title=(.*)'}, or body for all of it")
		return x
	}
	switch {
	case f["header"].Present():
		if x.header = f["header"].String("a header"); !headerName.MatchString(x.header) {
			f["header"].Fail("", "bad name of a header", "")
		}
	case f["json"].Present():
		text := f["json"].String("a JSON path")
		path, err := jsonpath.Parse(text)
		if err != nil {
			f["json"].Fail(text, "bad JSON path: "+err.Error(), "$.title, $.items[0].name (RFC 9535)")
			return x
		}
		x.path, x.text = path, text
		if x.several() && what != signOfAbsence && what != signOfDone {
			f["json"].Doubt(text, "the path may select several values: an answer in which they differ can't be read",
				"a path to one value, such as $.item.title")
		}
	default:
		text := f["regexp"].String("a regular expression")
		expr, err := regexp.Compile(text)
		switch {
		case err != nil:
			f["regexp"].Fail(text, err.Error(), "")
		case expr.NumSubexp() < 1:
			f["regexp"].Fail(text, "the expression needs a group around what is wanted", "title=(.*)")
		default:
			x.expr = expr
		}
	}
	return x
}

func decodeCodes(n strictyaml.Node) codes {
	out := codes{}
	for _, item := range n.List("statuses") {
		if status, ok := decodeCode(item); ok {
			out = append(out, status)
		}
	}
	return out
}

func decodeCode(n strictyaml.Node) (status int, ok bool) {
	text := n.String("a status")
	status, err := strconv.Atoi(text)
	if err != nil || status < 100 || status > 599 {
		n.Fail(text, "no status of HTTP", "[404]")
		return 0, false
	}
	return status, true
}
