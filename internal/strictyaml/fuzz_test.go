package strictyaml

import (
	"testing"
	"time"
)

// FuzzParse reads whatever there is in every way there is. It must not panic, and every problem
// must be somewhere.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "~", "5", "- 1\n- [a, {b: c}]\n", "a: 1\na: 2\n", "a: 'it''s'\nb: \"x\\ty\"\n", "a: |\n  x\nb: >-\n  y\n",
		"a: &x 5\nb: *x\n<<: {c: 1}\n", "? [a]\n: b\n", "a: !!str 5\nb: !!binary x\n", "{a, b: , c: 1}", "a: 1\n---\nb: 2\n",
		"\ufeffa: 25%\r\nb: 1,500/s\r\n", "a: .inf\nb: .nan\nc: 0x1F\n", "%YAML 1.2\n---\na: b\n", "&a", "!!str", "''", "a: ''\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		root, ps := Parse(src)
		left := 2000
		visit(root, &left)
		for _, p := range ps.Sorted() {
			if p.Line < 1 || p.Column < 1 || p.Msg == "" {
				t.Errorf("%q: a problem without a place or words: %+v", src, p)
			}
		}
	})
}

// visit reads a node as everything that a node may be, and what is in it.
func visit(n Node, left *int) {
	if *left--; *left < 0 {
		return
	}
	n.Pos()
	n.Float("it", 0)
	n.Int("it", 0, 0)
	n.Percent("it", 0)
	n.Rate("it", 0)
	n.Duration("it", time.Second)
	n.OneOf("it", "a", "b")
	n.FailAt(len(n.String("it"))/2, "", "wrong", "")
	n.Fields("it", "a", "b")
	for _, e := range n.Entries("it") {
		e.Key.FailAt(1, e.Name, "wrong", "")
		visit(e.Value, left)
	}
	for _, item := range n.List("it") {
		visit(item, left)
	}
}
