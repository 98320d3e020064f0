package http

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/cachedrill/cachedrill/targets"
)

// escape is how a value is escaped in a template.
type escape uint8

const (
	plain    escape = iota // headers and bodies of text
	segment                // of a path
	query                  // of a URL
	inString               // of JSON
)

// placeholders are the names that templates may use, in the order in which messages list them.
var placeholders = []string{"key", "family", "tenant", "locale", "currency", "variant", "token", "session", "seq", "run"}

// template is text with placeholders for the parts of a request.
type template []piece

// piece is text, or else the name of a placeholder and how its value is written.
type piece struct {
	text string
	name string
	as   escape
}

// templateError is a mistake in a template, at a byte offset.
type templateError struct {
	at              int
	text, msg, hint string
}

// parseTemplate reads text with {placeholders}. how gives the escape at a byte offset. {{ and }}
// stand for braces; with lenient, braces that hold no known name are text, as JSON has them.
func parseTemplate(text string, lenient bool, how func(at int) escape) (template, *templateError) {
	var t template
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			t = append(t, piece{text: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case !lenient && (strings.HasPrefix(text[i:], "{{") || strings.HasPrefix(text[i:], "}}")):
			lit.WriteByte(c)
			i += 2
		case c == '{':
			end := strings.IndexByte(text[i:], '}')
			name := ""
			if end > 0 {
				name = text[i+1 : i+end]
			}
			switch {
			case known(name):
				flush()
				t = append(t, piece{name: name, as: how(i)})
				i += end + 1
			case lenient:
				lit.WriteByte(c)
				i++
			case end < 0:
				return nil, &templateError{i, text[i:], "a { without its }", "write {{ for a brace"}
			default:
				return nil, &templateError{i, text[i : i+end+1], "unknown placeholder", "one of {" + strings.Join(placeholders, "}, {") + "}"}
			}
		case c == '}' && !lenient:
			return nil, &templateError{i, "}", "a } without its {", "write }} for a brace"}
		default:
			lit.WriteByte(c)
			i++
		}
	}
	flush()
	return t, nil
}

func known(name string) bool {
	for _, p := range placeholders {
		if p == name {
			return true
		}
	}
	return false
}

// parseTarget reads the path and query of a URL.
func parseTarget(text string) (template, *templateError) {
	mark := strings.IndexByte(text, '?')
	return parseTemplate(text, false, func(at int) escape {
		if mark >= 0 && at > mark {
			return query
		}
		return segment
	})
}

func parsePlain(text string) (template, *templateError) {
	return parseTemplate(text, false, func(int) escape { return plain })
}

// jsonTemplate makes a template of a JSON document whose strings may hold placeholders.
func jsonTemplate(v any) (template, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing it as JSON: %w", err)
	}
	t, _ := parseTemplate(string(text), true, func(int) escape { return inString })
	return t, nil
}

// uses reports whether the template has a placeholder of that name.
func (t template) uses(name string) bool {
	for _, p := range t {
		if p.name == name {
			return true
		}
	}
	return false
}

// fill writes the template for a request.
func (t template) fill(b []byte, run string, r *targets.Request) []byte {
	for i := range t {
		p := &t[i]
		if p.name == "" {
			b = append(b, p.text...)
			continue
		}
		v := value(p.name, run, r)
		switch p.as {
		case segment:
			b = append(b, url.PathEscape(v)...)
		case query:
			b = append(b, url.QueryEscape(v)...)
		case inString:
			b = appendJSON(b, v)
		default:
			b = append(b, v...)
		}
	}
	return b
}

// appendJSON writes v as it stands between the quotes of a JSON string.
func appendJSON(b []byte, v string) []byte {
	for i := range len(v) {
		if c := v[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			quoted, _ := json.Marshal(v) // no string fails
			return append(b, quoted[1:len(quoted)-1]...)
		}
	}
	return append(b, v...)
}

func value(name, run string, r *targets.Request) string {
	switch name {
	case "key":
		return r.Key.ID
	case "family":
		return r.Key.Family
	case "tenant":
		return r.Key.Tenant
	case "locale":
		return r.Key.Locale
	case "currency":
		return r.Key.Currency
	case "variant":
		return r.Key.Variant
	case "token":
		return r.Token
	case "session":
		return strconv.FormatUint(r.Session, 10)
	case "seq":
		return strconv.FormatUint(r.Seq, 10)
	}
	return run
}
