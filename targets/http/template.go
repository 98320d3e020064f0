package http

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
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
	asValue                // of JSON, as a whole: a number goes without quotes
)

// placeholders are the names that templates may use, in the order in which messages list them.
var placeholders = []string{"key", "family", "tenant", "locale", "currency", "variant", "token", "session", "seq", "run"}

// template is text with placeholders for the parts of a request.
type template []piece

// piece is text, or else the name of a placeholder and how its value is written, or else a variable
// of the environment.
type piece struct {
	text  string
	name  string
	as    escape
	width int    // of {key:06d}: the digits, padded with zeros; 0: none are asked for
	shape string // number, text, upper, lower; "": as the family's form has it
	env   string
}

// shapes are what a placeholder may be followed by, beside the width of a number.
var shapes = []string{"number", "text", "upper", "lower"}

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
			p, ok := placeholder(name)
			variable := !lenient && how(i) == plain && i > 0 && text[i-1] == '$' && variable.MatchString(text[i-1:])
			switch {
			case ok:
				flush()
				p.as = how(i)
				t = append(t, p)
				i += end + 1
			case variable:
				before := strings.TrimSuffix(lit.String(), "$")
				lit.Reset()
				lit.WriteString(before)
				flush()
				t = append(t, piece{env: name})
				i += end + 1
			case lenient:
				lit.WriteByte(c)
				i++
			case end < 0:
				return nil, &templateError{i, text[i:], "a { without its }", "write {{ for a brace"}
			case slices.Contains(placeholders, strings.SplitN(name, ":", 2)[0]):
				return nil, &templateError{i, text[i : i+end+1], "a placeholder can't be written so", "{key:06d}, {key:" + strings.Join(shapes, "}, {key:") + "}"}
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

var paddedWidth = regexp.MustCompile(`^0([1-9][0-9]?)d$`)

// placeholder reads what stands between braces: a name, and how its value is to be written.
func placeholder(text string) (p piece, ok bool) {
	name, shape, shaped := strings.Cut(text, ":")
	if !slices.Contains(placeholders, name) {
		return p, false
	}
	p.name = name
	if m := paddedWidth.FindStringSubmatch(shape); m != nil && name == "key" {
		p.width, _ = strconv.Atoi(m[1])
		return p, p.width <= mostDigits
	}
	p.shape = shape
	return p, !shaped || slices.Contains(shapes, shape)
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

// jsonTemplate makes a template of a JSON document whose strings may hold placeholders. A string
// that is one placeholder becomes a number where its value is one.
func jsonTemplate(v any) (template, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing it as JSON: %w", err)
	}
	t, _ := parseTemplate(string(text), true, func(int) escape { return inString })
	for i := 1; i+1 < len(t); i++ {
		before, p, after := &t[i-1], &t[i], &t[i+1]
		if p.name != "" && before.name == "" && after.name == "" && opensString(before.text) &&
			strings.HasPrefix(after.text, `"`) && !strings.HasPrefix(after.text, `":`) {
			before.text, after.text = before.text[:len(before.text)-1], after.text[1:]
			p.as = asValue
		}
	}
	return t, nil
}

// opensString reports whether JSON ends with the quote that begins a string.
func opensString(text string) bool {
	text, ok := strings.CutSuffix(text, `"`)
	return ok && (text == "" || strings.ContainsRune(":,[{", rune(text[len(text)-1])))
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
func (t template) fill(b []byte, with *filling) []byte {
	for i := range t {
		p := &t[i]
		switch {
		case p.env != "":
			b = append(b, with.env[p.env]...)
			continue
		case p.name == "":
			b = append(b, p.text...)
			continue
		}
		v := with.value(p)
		switch p.as {
		case segment:
			b = append(b, url.PathEscape(v)...)
		case query:
			b = append(b, url.QueryEscape(v)...)
		case inString:
			b = appendJSON(b, v)
		case asValue:
			if with.number(p) && jsonNumber.MatchString(v) {
				b = append(b, v...)
				continue
			}
			b = append(appendJSON(append(b, '"'), v), '"')
		default:
			b = append(b, v...)
		}
	}
	return b
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

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

// filling is what placeholders stand for in one request.
type filling struct {
	run         string
	r           *targets.Request
	key         string // as the service names it
	token       string // in the form that the field takes
	keyNumber   bool   // the form of keys is a number
	tokenNumber bool   // likewise of tokens
	given       bool   // the service made the key's name: it is not padded
	env         map[string]string
}

// number reports whether a placeholder alone is a number in JSON.
func (f *filling) number(p *piece) bool {
	switch p.shape {
	case "number":
		return true
	case "":
		return p.name == "key" && f.keyNumber && p.width == 0 || p.name == "token" && f.tokenNumber
	}
	return false
}

func (f *filling) value(p *piece) string {
	v := f.raw(p)
	switch p.shape {
	case "upper":
		return strings.ToUpper(v)
	case "lower":
		return strings.ToLower(v)
	}
	return v
}

func (f *filling) raw(p *piece) string {
	switch p.name {
	case "key":
		if p.width > 0 && !f.given {
			return padded(f.r.Key.ID, p.width)
		}
		return f.key
	case "family":
		return f.r.Key.Family
	case "tenant":
		return f.r.Key.Tenant
	case "locale":
		return f.r.Key.Locale
	case "currency":
		return f.r.Key.Currency
	case "variant":
		return f.r.Key.Variant
	case "token":
		return f.token
	case "session":
		return strconv.FormatUint(f.r.Session, 10)
	case "seq":
		return strconv.FormatUint(f.r.Seq, 10)
	}
	return f.run
}
