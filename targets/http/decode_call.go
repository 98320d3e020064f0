package http

import (
	nethttp "net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func decodeHeaders(n strictyaml.Node) []Header {
	var out []Header
	for _, e := range n.Entries("headers") {
		if !headerName.MatchString(e.Name) {
			e.Key.Fail(e.Name, "bad name of a header", "")
			continue
		}
		out = append(out, Header{e.Name, e.Value.String("a header")})
	}
	return out
}

var method = regexp.MustCompile("^[A-Z]+$")

// decodeCall reads a request. beside are fields that are no part of it.
func decodeCall(n strictyaml.Node, what string, beside ...string) *Call {
	c := &Call{}
	for _, e := range n.Entries("the " + what) {
		switch {
		case method.MatchString(e.Name):
			if c.Method != "" {
				e.Key.Fail(e.Name, "a request has one method", "")
				continue
			}
			c.Method = e.Name
			text := e.Value.String("a path")
			base, rest, absolute := splitBase(text)
			if absolute {
				c.Base = base
			}
			if !strings.HasPrefix(rest, "/") {
				e.Value.Fail(text, "a path begins with /", "/products/{key}")
				continue
			}
			t, bad := parseTarget(rest)
			note(e.Value, bad, len(text)-len(rest))
			c.Target = t
		case e.Name == "json" || e.Name == "body":
			if c.Body != nil {
				e.Key.Fail(e.Name, "a request has one body", "either json or body")
				continue
			}
			if e.Name == "json" {
				t, err := jsonTemplate(e.Value.Value())
				if err != nil {
					e.Value.Fail("", err.Error(), "")
				}
				c.Body, c.Type = t, "application/json"
				continue
			}
			text := e.Value.String("a body")
			t, bad := parseTemplate(text, true, func(int) escape { return plain })
			note(e.Value, bad, 0)
			c.Body = t
			if c.Type == "" {
				c.Type = "text/plain; charset=utf-8"
			}
		case e.Name == "headers":
			for _, h := range decodeHeaders(e.Value) {
				t, bad := parsePlain(h.Value)
				note(e.Value, bad, 0)
				if nethttp.CanonicalHeaderKey(h.Name) == "Content-Type" {
					c.Type = h.Value
					continue
				}
				c.Headers = append(c.Headers, filled{nethttp.CanonicalHeaderKey(h.Name), t})
			}
		case slices.Contains(beside, e.Name):
		default:
			e.Key.Fail(e.Name, "unknown field of a request", "a method (GET, PUT, POST, DELETE, ...) with its path; json, body, headers")
		}
	}
	if c.Method == "" {
		n.Fail("", "the "+what+" needs a method and a path", map[string]string{
			"write": `write: {PUT: "/products/{key}", json: {title: "{token}"}}`, "delete": `delete: {DELETE: "/products/{key}"}`, "create": createHint,
		}[what])
	}
	return c
}

const createHint = `create: {POST: "/items", json: {title: "{token}"}, id: {json: $.id}}`

// decodeCreate reads a request and where in its answer the id is.
func decodeCreate(n strictyaml.Node) *creation {
	c := &creation{Call: decodeCall(n, "create", "id")}
	var id strictyaml.Node
	for _, e := range n.Entries("the create") {
		if e.Name == "id" {
			id = e.Value
		}
	}
	switch {
	case !id.Present():
		n.Fail("", "where in the answer is the id?", createHint+", or id: {header: Location}")
	case id.IsMap():
		f := id.Fields("the id", "header", "json", "regexp")
		if f["regexp"].Present() && (f["header"].Present() || f["json"].Present()) {
			c.id.part = extractorOf(f["regexp"], map[string]strictyaml.Node{"regexp": f["regexp"]}, "id").expr
			delete(f, "regexp")
		}
		c.id.extractor = extractorOf(id, f, "id")
	default:
		c.id.extractor = decodeExtractor(id, "id")
	}
	if !c.uses("token") {
		n.Fail("", "what is created must store its token, by which a read is judged: {token} is missing", createHint)
	}
	return c
}

func note(n strictyaml.Node, bad *templateError, offset int) {
	if bad != nil {
		n.FailAt(bad.at+offset, bad.text, bad.msg, bad.hint)
	}
}
