package strictyaml

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// field reads "v: <text>" and gives the node of v.
func field(t testing.TB, text string) (Node, *Problems) {
	t.Helper()
	root, ps := Parse([]byte("v: " + text + "\n"))
	require.Empty(t, ps.List, text)
	return root.Fields("the document", "v")["v"], ps
}

func lines(ps *Problems) []string {
	var out []string
	for _, p := range ps.Sorted() {
		out = append(out, p.String())
	}
	return out
}

func TestPositions(t *testing.T) {
	root, ps := Parse([]byte(`a: one
"b": {c: 'two', é: "three"}
d:
  - four
  -   five
e: |
  six
f:
`))
	require.Empty(t, ps.List)
	f := root.Fields("the document", "a", "b", "d", "e", "f", "g")
	b, d := f["b"].Entries("b"), f["d"].List("d")
	require.Len(t, d, 2)
	for name, c := range map[string]struct {
		n            Node
		line, column int
	}{
		"the document":        {root, 1, 1},
		"a plain value":       {f["a"], 1, 4},
		"a flow mapping":      {f["b"], 2, 7},
		"a name":              {b[0].Key, 2, 7},
		"a quoted value":      {b[0].Value, 2, 10},
		"a name beyond ASCII": {b[1].Key, 2, 17},
		"what follows it":     {b[1].Value, 2, 20},
		"a list":              {f["d"], 4, 3},
		"an item":             {d[1], 5, 7},
		"a block of text":     {f["e"], 6, 4},
		"a name's no value":   {f["f"], 8, 1},
		"an absent field":     {f["g"], 1, 1},
		"nowhere":             {Node{}, 0, 0},
	} {
		line, column := c.n.Pos()
		require.Equal(t, [2]int{c.line, c.column}, [2]int{line, column}, name)
	}
	require.False(t, f["f"].Present())
	require.False(t, f["g"].Present())
}

func TestFailAtPointsIntoTheText(t *testing.T) {
	for _, c := range []struct {
		text   string
		at     string // the part of the value that is wrong
		column int    // in the line "v: ..."
	}{
		{`p99 < x`, "x", 10},
		{`"p99 < x"`, "x", 11},
		{`'p99 < x'`, "x", 11},
		{`   p99 < x   # why`, "x", 13},
		{`{v: "p99 < x"}`, "x", 15},
		{`größe < x`, "x", 12},
		{`"größe < x"`, "x", 13},
		// Spelt otherwise: the scalar's beginning.
		{`"a\tb < x"`, "x", 4},
		{`'it''s < x'`, "x", 4},
		{"p99\n  < x", "x", 4},
		{"|\n  p99 < x", "x", 4},
	} {
		n, ps := field(t, c.text)
		if n.IsMap() {
			n = n.Fields("v", "v")["v"]
		}
		s := n.String("a text")
		n.FailAt(strings.Index(s, c.at), c.at, "wrong", "")
		require.Equal(t, []Problem{{Line: 1, Column: c.column, Text: "x", Msg: "wrong"}}, ps.List, c.text)
	}
	for _, offset := range []int{-1, 100} {
		n, ps := field(t, "short")
		n.FailAt(offset, "", "wrong", "")
		require.Equal(t, []string{`1:4: "short": wrong`}, lines(ps), "an offset that is not in the text")
	}
}

func TestAllProblemsAtOnceAndEachOnce(t *testing.T) {
	root, ps := Parse([]byte(`rat: 5/s
rate: 5
keys: 1
keys: 2
down: [1s]
share: {}
keys: 3
mode: fsat
`))
	read := func() {
		f := root.Fields("a workload", "rate", "keys", "down", "share", "mode")
		f["rate"].Rate("rate", 0)
		require.Equal(t, 1, f["keys"].Int("keys", 0, 0), "the first one counts")
		f["down"].Duration("down", 0)
		f["share"].Percent("share", 0)
		f["mode"].OneOf("mode", "fast", "slow")
	}
	read()
	read() // as when two scenarios share it
	require.Equal(t, []string{
		`1:1: "rat": unknown field in a workload; did you mean "rate"?`,
		`2:7: "5": expected rate as operations per second, above 0; write it as 1500/s`,
		`4:1: "keys": appears twice; keep one`,
		`5:7: expected down as a single value`,
		`6:8: expected share as a single value`,
		`7:1: "keys": appears twice; keep one`,
		`8:7: "fsat": unknown mode; did you mean "fast"?`,
	}, lines(ps))
}

func TestUnknownField(t *testing.T) {
	for name, want := range map[string]string{
		"recovry":    `did you mean "recovery"?`,
		"RECOVERY":   `did you mean "recovery"?`,
		"stedy":      `did you mean "steady"?`,
		"completely": `known: fault, recovery, steady`,
	} {
		root, ps := Parse([]byte("x:\n  " + name + ": 1s\n"))
		f := root.Fields("the document", "x")["x"].Fields("phases", "steady", "fault", "recovery")
		require.Equal(t, []Problem{{Line: 2, Column: 3, Text: name, Msg: "unknown field in phases", Hint: want}}, ps.List)
		require.NotContains(t, f, name)
	}
}

func TestDocumentsThatCantBeRead(t *testing.T) {
	for src, want := range map[string]string{
		"":                    `1:1: the document is empty`,
		"# only a comment\n":  `1:1: the document is empty`,
		"---\n":               `1:1: the document is empty`,
		"~\n":                 `1:1: "~": the document is empty`,
		"null\n":              `1:1: "null": the document is empty`,
		"a: 1\n---\nb: 2\n":   `3:1: one file holds one document; remove the --- line`,
		"a: [1\nb: 2\n":       `2:1: "b": ',' or ']' must be specified`,
		"a: 1\nb: \"x\n":      `2:4: "\"x": could not find end character of double-quoted text`,
		"a:\n  b: 1\n c: 2\n": `3:2: "c": value is not allowed in this context`,
		"\ta: 1":              `1:2: "a": tab character cannot use as a map key directly`,
	} {
		_, ps := Parse([]byte(src))
		require.Equal(t, []string{want}, lines(ps), "%q", src)
	}
}

func TestDocumentOfAnotherShape(t *testing.T) {
	for src, want := range map[string]string{
		"- 1\n": `1:1: expected a suite as a mapping (name: value)`,
		"5\n":   `1:1: "5": expected a suite as a mapping (name: value)`,
	} {
		root, ps := Parse([]byte(src))
		require.Empty(t, ps.List)
		require.False(t, root.Fields("a suite", "a")["a"].Present())
		require.Equal(t, []string{want}, lines(ps), "%q", src)
	}
	n, ps := field(t, "one")
	require.Empty(t, n.List("regions"))
	require.Equal(t, []string{`1:4: "one": expected a list of regions; write each as "- ..." or [a, b]`}, lines(ps))
}

func TestMarkOfUTF8IsNoPartOfAName(t *testing.T) {
	root, ps := Parse([]byte("\ufeffa: x\n"))
	require.Equal(t, "x", root.Fields("the document", "a")["a"].String("a"))
	require.Empty(t, ps.List)
}

// reader reads a scalar; -1 is its default.
type reader func(n Node) float64

func TestScalars(t *testing.T) {
	var (
		duration = func(n Node) float64 { return n.Duration("it", -time.Second).Seconds() }
		percent  = func(n Node) float64 { return n.Percent("it", -1) }
		rate     = func(n Node) float64 { return n.Rate("it", -1) }
		number   = func(n Node) float64 { return n.Float("it", -1) }
		whole    = func(n Node) float64 { return float64(n.Int("it", -1, 2)) }
	)
	const bad = -1
	for _, c := range []struct {
		name string
		read reader
		text string
		want float64
	}{
		{"duration", duration, "500ms", 0.5}, {"duration", duration, "1m30s", 90}, {"duration", duration, `"2s"`, 2},
		{"duration", duration, "0s", 0}, {"duration", duration, "0", 0},
		{"duration", duration, "3", bad}, {"duration", duration, "-1s", bad}, {"duration", duration, "soon", bad},
		{"duration", duration, "1d", bad}, {"duration", duration, `""`, bad}, {"duration", duration, "9999999h", bad},

		{"percent", percent, "25%", 0.25}, {"percent", percent, "0%", 0}, {"percent", percent, "100%", 1},
		{"percent", percent, "0.5%", 0.005}, {"percent", percent, "100.1%", bad}, {"percent", percent, "-1%", bad},
		{"percent", percent, "25", bad}, {"percent", percent, `"%"`, bad}, {"percent", percent, "25%%", bad},
		{"percent", percent, "NaN%", bad}, {"percent", percent, "Inf%", bad},

		{"rate", rate, "1500/s", 1500}, {"rate", rate, "0.5/s", 0.5}, {"rate", rate, "1,500/s", 1500},
		{"rate", rate, "1,234,567.5/s", 1234567.5}, {"rate", rate, "10000000/s", 1e7},
		{"rate", rate, "10000001/s", bad}, {"rate", rate, "0/s", bad}, {"rate", rate, "-5/s", bad},
		{"rate", rate, "1500", bad}, {"rate", rate, "1500/m", bad}, {"rate", rate, "/s", bad}, {"rate", rate, "NaN/s", bad},
		{"rate", rate, "1,5/s", bad}, {"rate", rate, "1,5000/s", bad}, {"rate", rate, ",500/s", bad},

		{"number", number, "0", 0}, {"number", number, "1.5", 1.5}, {"number", number, "-0.1", bad},
		{"number", number, ".nan", bad}, {"number", number, ".inf", bad}, {"number", number, "inf", bad}, {"number", number, "x", bad},

		{"int", whole, "2", 2}, {"int", whole, "1_000", 1000}, {"int", whole, `"7"`, 7},
		{"int", whole, "1", bad}, {"int", whole, "-3", bad}, {"int", whole, "2.5", bad}, {"int", whole, "two", bad},
		{"int", whole, "true", bad}, {"int", whole, "99999999999999999999", bad},
	} {
		n, ps := field(t, c.text)
		require.InDelta(t, c.want, c.read(n), 1e-9, "%s of %s", c.name, c.text)
		if c.want == bad {
			require.Len(t, ps.List, 1, "%s of %s", c.name, c.text)
			require.Equal(t, [2]int{1, 4}, [2]int{ps.List[0].Line, ps.List[0].Column}, c.text)
		} else {
			require.Empty(t, ps.List, "%s of %s", c.name, c.text)
		}
	}
	for name, read := range map[string]reader{"duration": duration, "percent": percent, "rate": rate, "number": number, "int": whole} {
		require.EqualValues(t, -1, read(Node{}), "%s: absent is the default", name)
		n, ps := field(t, "[1, 2]")
		require.EqualValues(t, -1, read(n), name)
		require.Equal(t, []string{"1:4: expected it as a single value"}, lines(ps), name)
	}
}

func TestOneOf(t *testing.T) {
	for text, want := range map[string]string{"strong": "", "'bounded'": "", `""`: "unknown class", "strnog": "unknown class", "[strong]": "expected class as a single value"} {
		n, ps := field(t, text)
		got := n.OneOf("class", "bounded", "strong")
		if want == "" {
			require.Equal(t, strings.Trim(text, "'"), got)
			require.Empty(t, ps.List)
			continue
		}
		require.Empty(t, got)
		require.Len(t, ps.List, 1, text)
		require.Equal(t, want, ps.List[0].Msg)
	}
	require.Empty(t, Node{}.OneOf("class", "bounded"))
}

func TestNearest(t *testing.T) {
	known := []string{"region", "regions", "family", "at"}
	for got, want := range map[string]string{
		"region": "region", "regoin": "region", "REGION": "region", "regionss": "regions", "famly": "family",
		"a": "at", "observe": "", "": "at", "invalidation": "",
	} {
		require.Equal(t, want, Nearest(got, known), got)
	}
	require.Empty(t, Nearest("x", nil))
	require.Equal(t, `did you mean "family"?`, Suggest("famliy", known))
	require.Equal(t, "known: at, family, region, regions", Suggest("something", known))
}

func TestDistanceIsAMetric(t *testing.T) {
	word := rapid.StringMatching(`[abc]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		if d := distance(a, b); (d == 0) != (a == b) || d != distance(b, a) || d > max(len(a), len(b)) || d < max(len(a), len(b))-min(len(a), len(b)) {
			t.Fatalf("distance(%q, %q) = %d", a, b, d)
		}
		if distance(a, c) > distance(a, b)+distance(b, c) {
			t.Fatalf("%q, %q, %q: a detour is shorter", a, b, c)
		}
	})
}
