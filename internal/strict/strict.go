// Package strict reads YAML the way a careful reviewer does: every field must be known, every
// problem carries its place and what would be right, and all problems are reported at once.
//
// A [Node] is read by asking it for what it should be. When it is something else, the node notes a
// [Problem] and hands back a zero value, so that reading goes on and finds the next problem.
package strict

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Problem is one thing wrong with a document.
type Problem struct {
	Line, Column int    // from 1
	Text         string // the offending text
	Msg          string // what is wrong
	Hint         string // what would be right; may be empty
}

// String gives the problem without its file: "line:column: "text": message; hint".
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%d: ", p.Line, p.Column)
	if p.Text != "" {
		fmt.Fprintf(&b, "%q: ", p.Text)
	}
	b.WriteString(p.Msg)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Problems collects what was found wrong with one document.
type Problems struct {
	List []Problem
}

// Sorted gives the problems in document order.
func (ps *Problems) Sorted() []Problem {
	out := slices.Clone(ps.List)
	slices.SortStableFunc(out, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return out
}

// Node is one place of a document. The zero Node is an absent value: it reads as zero, silently.
type Node struct {
	n  ast.Node
	at *token.Token
	ps *Problems
}

// Parse reads a document of one mapping. A syntax error is a [Problem] too; the Node is then absent.
func Parse(src []byte) (Node, *Problems) {
	ps := &Problems{}
	src = bytes.TrimPrefix(src, []byte("\ufeff")) // some editors' mark of UTF-8
	// Left to the parser, a name that appears twice would be the end of reading, and the only problem.
	file, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		p := Problem{Line: 1, Column: 1, Msg: err.Error()}
		if se, ok := err.(yaml.Error); ok {
			p.Msg = se.GetMessage()
			if t := se.GetToken(); t != nil {
				p.Line, p.Column, p.Text = t.Position.Line, t.Position.Column, strings.TrimSpace(t.Value)
			}
		}
		ps.List = append(ps.List, p)
		return Node{ps: ps}, ps
	}
	var docs []*ast.DocumentNode
	for _, d := range file.Docs {
		if d.Body != nil {
			docs = append(docs, d)
		}
	}
	switch len(docs) {
	case 0:
		ps.List = append(ps.List, Problem{Line: 1, Column: 1, Msg: "the document is empty"})
		return Node{ps: ps}, ps
	case 1:
	default:
		n := Node{n: docs[1].Body, ps: ps}
		n.Fail("", "one file holds one document", "remove the --- line")
	}
	root := Node{n: unwrap(docs[0].Body), ps: ps}
	if !root.Present() {
		Node{n: docs[0].Body, ps: ps}.Fail("", "the document is empty", "")
	}
	return root, ps
}

func unwrap(n ast.Node) ast.Node {
	for {
		switch v := n.(type) {
		case *ast.AnchorNode:
			n = v.Value
		case *ast.TagNode:
			n = v.Value
		case *ast.NullNode:
			return nil
		default:
			return n
		}
	}
}

// Present says whether the document has a value here.
func (n Node) Present() bool { return n.n != nil }

func (n Node) token() *token.Token {
	if n.n != nil {
		if m, ok := n.n.(*ast.MappingNode); ok && len(m.Values) > 0 {
			return m.Values[0].Key.GetToken()
		}
		if m, ok := n.n.(*ast.MappingValueNode); ok {
			return m.Key.GetToken()
		}
		return n.n.GetToken()
	}
	return n.at
}

// Pos is the node's place, from 1; 0, 0 when it was not read from a document.
func (n Node) Pos() (line, column int) {
	if t := n.token(); t != nil {
		return t.Position.Line, t.Position.Column
	}
	return 0, 0
}

// Fail notes a problem at the node. text is the offending text; empty takes it from a scalar node.
func (n Node) Fail(text, msg, hint string) { n.fail(0, text, msg, hint) }

// FailAt notes a problem at a byte offset within a scalar's text. Where the document spells the text
// otherwise (with escapes, over several lines), the place is the beginning of the scalar.
func (n Node) FailAt(offset int, text, msg, hint string) {
	n.fail(n.columns(offset), text, msg, hint)
}

// columns is how far to the right of the node's place a byte offset within its text is.
func (n Node) columns(offset int) int {
	s, ok := n.scalar()
	if !ok || offset < 0 || offset > len(s) {
		return 0
	}
	t := n.token()
	spelt, quote := strings.TrimSpace(t.Origin), 0
	if (t.Type == token.DoubleQuoteType || t.Type == token.SingleQuoteType) && len(spelt) >= 2 {
		spelt, quote = spelt[1:len(spelt)-1], 1
	}
	if spelt != s {
		return 0
	}
	return quote + utf8.RuneCountInString(s[:offset])
}

func (n Node) fail(columns int, text, msg, hint string) {
	if n.ps == nil {
		return
	}
	if text == "" {
		text, _ = n.scalar()
	}
	p := Problem{Text: text, Msg: msg, Hint: hint}
	p.Line, p.Column = n.Pos()
	if p.Line == 0 {
		p.Line, p.Column = 1, 1
	}
	p.Column += columns
	// What several parts share is read by each of them, and its problems noted once.
	if !slices.Contains(n.ps.List, p) {
		n.ps.List = append(n.ps.List, p)
	}
}

func (n Node) scalar() (string, bool) {
	switch v := n.n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode, nil:
		return "", false
	case *ast.AliasNode:
		return "", false
	default:
		return v.GetToken().Value, true
	}
}

func (n Node) entries() ([]*ast.MappingValueNode, bool) {
	switch v := n.n.(type) {
	case *ast.MappingNode:
		return v.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{v}, true
	}
	return nil, false
}

// Entry is one name and value of a mapping.
type Entry struct {
	Name  string
	Key   Node // the place of the name
	Value Node
}

// Entries reads a mapping with names of the user's choosing, in document order.
func (n Node) Entries(what string) []Entry {
	if n.n == nil {
		return nil
	}
	vs, ok := n.entries()
	if !ok {
		n.Fail("", "expected "+what+" as a mapping (name: value)", "")
		return nil
	}
	out := make([]Entry, 0, len(vs))
	seen := map[string]bool{}
	for _, v := range vs {
		key := Node{n: v.Key, at: v.Key.GetToken(), ps: n.ps}
		name := v.Key.GetToken().Value
		if seen[name] {
			key.Fail(name, "appears twice", "keep one")
			continue
		}
		seen[name] = true
		out = append(out, Entry{Name: name, Key: key, Value: Node{n: unwrap(v.Value), at: v.Key.GetToken(), ps: n.ps}})
	}
	return out
}

// Fields reads a mapping with a fixed set of names: an unknown one is a problem that names the
// nearest known one. Absent fields are absent Nodes, placed at the mapping.
func (n Node) Fields(what string, known ...string) map[string]Node {
	out := make(map[string]Node, len(known))
	for _, k := range known {
		out[k] = Node{at: n.token(), ps: n.ps}
	}
	for _, e := range n.Entries(what) {
		if !slices.Contains(known, e.Name) {
			e.Key.Fail(e.Name, "unknown field in "+what, Suggest(e.Name, known))
			continue
		}
		out[e.Name] = e.Value
	}
	return out
}

// List reads a sequence. A single value that stands alone is a problem, not a list of one.
func (n Node) List(what string) []Node {
	if n.n == nil {
		return nil
	}
	s, ok := n.n.(*ast.SequenceNode)
	if !ok {
		n.Fail("", "expected a list of "+what, `write each as "- ..." or [a, b]`)
		return nil
	}
	out := make([]Node, 0, len(s.Values))
	for _, v := range s.Values {
		out = append(out, Node{n: unwrap(v), at: v.GetToken(), ps: n.ps})
	}
	return out
}

// IsList and IsMap say what kind of node is here.
func (n Node) IsList() bool { _, ok := n.n.(*ast.SequenceNode); return ok }

// IsMap says whether a mapping is here.
func (n Node) IsMap() bool { _, ok := n.entries(); return ok }

// String reads a scalar as text; absent is "".
func (n Node) String(what string) string {
	if n.n == nil {
		return ""
	}
	s, _ := n.text(what)
	return s
}

// text reads a scalar that is there; ok is false when it is something else, which has been noted then.
func (n Node) text(what string) (s string, ok bool) {
	s, ok = n.scalar()
	if !ok {
		n.Fail("", "expected "+what+" as a single value", "")
	}
	return s, ok
}

// OneOf reads a scalar that must be one of the allowed words; absent is "".
func (n Node) OneOf(what string, allowed ...string) string {
	if n.n == nil {
		return ""
	}
	s, ok := n.text(what)
	if ok && !slices.Contains(allowed, s) {
		n.Fail(s, "unknown "+what, Suggest(s, allowed))
		return ""
	}
	return s
}

// Int reads a whole number of at least least; absent is def.
func (n Node) Int(what string, def, least int) int {
	if n.n == nil {
		return def
	}
	s, ok := n.text(what)
	if !ok {
		return def
	}
	v, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
	if err != nil {
		n.Fail(s, "expected "+what+" as a whole number", "")
		return def
	}
	if v < least {
		n.Fail(s, fmt.Sprintf("%s must be at least %d", what, least), "")
		return def
	}
	return v
}

// Float reads a number of at least 0; absent is def.
func (n Node) Float(what string, def float64) float64 {
	if n.n == nil {
		return def
	}
	s, ok := n.text(what)
	if !ok {
		return def
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v < 0 || v != v || v > 1e18 {
		n.Fail(s, "expected "+what+" as a number of at least 0", "")
		return def
	}
	return v
}

// Duration reads a length of time with its unit, of at least 0; absent is def.
func (n Node) Duration(what string, def time.Duration) time.Duration {
	if n.n == nil {
		return def
	}
	s, ok := n.text(what)
	if !ok {
		return def
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		n.Fail(s, "bad duration for "+what, "write a number with a unit: 500ms, 3s, 1m30s")
		return def
	}
	if d < 0 {
		n.Fail(s, what+" can't be negative", "")
		return def
	}
	return d
}

// Percent reads "80%" as 0.8, from 0% to 100%; absent is def.
func (n Node) Percent(what string, def float64) float64 {
	if n.n == nil {
		return def
	}
	s, ok := n.text(what)
	if !ok {
		return def
	}
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !strings.HasSuffix(s, "%") {
		n.Fail(s, "expected "+what+" as a percentage", "write it as 25%")
		return def
	}
	if !(v >= 0 && v <= 100) { // NaN is neither
		n.Fail(s, what+" must be from 0% to 100%", "")
		return def
	}
	return v / 100
}

// thousands is a number with commas between its groups of three digits, and nowhere else.
var thousands = regexp.MustCompile(`^\d{1,3}(,\d{3})+(\.\d+)?$`)

// Rate reads "1500/s" or "1,500/s" as operations per second, above 0; absent is def.
func (n Node) Rate(what string, def float64) float64 {
	if n.n == nil {
		return def
	}
	s, ok := n.text(what)
	if !ok {
		return def
	}
	number := strings.TrimSuffix(s, "/s")
	if thousands.MatchString(number) {
		number = strings.ReplaceAll(number, ",", "")
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || number == s || !(v > 0) || v > 1e7 {
		n.Fail(s, "expected "+what+" as operations per second, above 0", "write it as 1500/s")
		return def
	}
	return v
}

// Suggest says which of the known names is meant, or lists them when none is near.
func Suggest(got string, known []string) string {
	if near := Nearest(got, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	sorted := slices.Sorted(slices.Values(known))
	return "known: " + strings.Join(sorted, ", ")
}

// Nearest gives the known name with the smallest edit distance to got, or "" when none is within
// a third of its length (at least two edits).
func Nearest(got string, known []string) string {
	best, bestAt := "", max(2, len(got)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(got), strings.ToLower(k)); d < bestAt {
			best, bestAt = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			prev, row[j] = row[j], min(row[j]+1, row[j-1]+1, prev+cost)
		}
	}
	return row[len(b)]
}
