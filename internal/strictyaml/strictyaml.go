// Package strictyaml reads YAML the way a careful reviewer does: every field must be known, every
// problem carries its place and what would be right, and all problems are reported at once.
//
// A [Node] is read by asking it for what it should be. When it is something else, the node notes a
// [Problem] and hands back a zero value, so that reading goes on and finds the next problem.
package strictyaml

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
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
	// Doubts are no reason to refuse the document: what it asks for can be done, and will not do
	// what its author expects.
	Doubts []Problem
}

// Sorted gives the problems in document order.
func (ps *Problems) Sorted() []Problem { return sorted(ps.List) }

// SortedDoubts gives the doubts in document order.
func (ps *Problems) SortedDoubts() []Problem { return sorted(ps.Doubts) }

func sorted(all []Problem) []Problem {
	out := slices.Clone(all)
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

// Parse reads a document of one mapping. A syntax error is a [Problem] too; the Node is then
// absent.
func Parse(src []byte) (Node, *Problems) {
	ps := &Problems{}
	src = bytes.TrimPrefix(src, []byte("\ufeff")) // some editors' mark of UTF-8
	// Left to the parser, a name that appears twice would be the end of reading, and the only
	// problem.
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

// Doubt notes a doubt at the node, see [Problems.Doubts]. text is the text in doubt; empty takes it
// from a scalar node.
func (n Node) Doubt(text, msg, hint string) {
	if n.ps != nil {
		note(&n.ps.Doubts, n.problem(0, text, msg, hint))
	}
}

// FailAt notes a problem at a byte offset within a scalar's text. Where the document spells the
// text otherwise (with escapes, over several lines), the place is the beginning of the scalar.
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
	if n.ps != nil {
		note(&n.ps.List, n.problem(columns, text, msg, hint))
	}
}

// note adds a problem. What several parts share is read by each of them, and its problems noted
// once.
func note(all *[]Problem, p Problem) {
	if !slices.Contains(*all, p) {
		*all = append(*all, p)
	}
}

func (n Node) problem(columns int, text, msg, hint string) Problem {
	if text == "" {
		text, _ = n.scalar()
	}
	p := Problem{Text: text, Msg: msg, Hint: hint}
	p.Line, p.Column = n.Pos()
	if p.Line == 0 {
		p.Line, p.Column = 1, 1
	}
	p.Column += columns
	return p
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
	return n.FieldsRenamed(what, nil, known...)
}

// FieldsRenamed is [Node.Fields] for a map some of whose fields have new names: the keys of renamed
// are the old ones. An old name is an error that gives the new one.
func (n Node) FieldsRenamed(what string, renamed map[string]string, known ...string) map[string]Node {
	out := make(map[string]Node, len(known))
	for _, k := range known {
		out[k] = Node{at: n.token(), ps: n.ps}
	}
	for _, e := range n.Entries(what) {
		if now, ok := renamed[e.Name]; ok {
			e.Key.Fail(e.Name, e.Name+" is now "+now, "rename the field")
			continue
		}
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

// Value gives what is here as encoding/json would: nil, bool, float64 or int64, string, []any,
// map[string]any.
func (n Node) Value() any {
	switch v := n.n.(type) {
	case nil:
		return nil
	case *ast.BoolNode:
		return v.Value
	case *ast.IntegerNode:
		return v.Value
	case *ast.FloatNode:
		return v.Value
	case *ast.SequenceNode:
		out := make([]any, 0, len(v.Values))
		for _, item := range n.List("") {
			out = append(out, item.Value())
		}
		return out
	}
	if n.IsMap() {
		out := map[string]any{}
		for _, e := range n.Entries("") {
			out[e.Name] = e.Value.Value()
		}
		return out
	}
	s, ok := n.scalar()
	if !ok {
		n.Fail("", "this can't be written as JSON", "")
	}
	return s
}
