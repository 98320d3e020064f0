package contract

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/policy"
)

const example = "../../examples/contract/cache-contract.yaml"

var update = flag.Bool("update", false, "write the golden files")

func day(s string) Date {
	t, err := time.Parse(dateForm, s)
	if err != nil {
		panic(err)
	}
	return Date{t}
}

func read(t *testing.T, path string) string {
	t.Helper()
	src, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(src)
}

func parse(t *testing.T, src string) Contract {
	t.Helper()
	c, err := Parse("c.yaml", []byte(src))
	require.NoError(t, err)
	return c
}

// lineOf finds the line, from 1, on which a text stands.
func lineOf(t *testing.T, src, text string) int {
	t.Helper()
	before, _, found := strings.Cut(src, text)
	require.True(t, found, text)
	return strings.Count(before, "\n") + 1
}

func TestExampleHasNoDefect(t *testing.T) {
	c := parse(t, read(t, example))
	require.Empty(t, Check(c, day("2026-11-24")))
	require.Len(t, c.Families, 3)
	require.Equal(t, Owner{"accounts", "#accounts-oncall"}, c.Families[2].Owner)
	require.Equal(t, Owner{"catalogue", "#catalogue-oncall"}, c.Families[0].Owner)
}

// Each defect is made by changing the example in one place, and must be found there and nowhere
// else.
func TestCheckFindsEachDefect(t *testing.T) {
	good := read(t, example)
	for name, c := range map[string]struct {
		old, new string // one place of the example, and what it becomes
		on       string // the day; empty: that of the example
		line     string // a text on the line of the error
		what     string
	}{
		"expired exception":      {"expires: 2027-01-15", "expires: 2026-11-24", "", "expires: 2026-11-24", "the exception without stale-while-revalidate expired on 2026-11-24"},
		"overdue review":         {"review: 2027-03-01", "review: 2026-11-23", "", "listing: {ttl", "the review of TTL class listing was due on 2026-11-23"},
		"two classes":            {"    class: strong     #", "    namespace: catalogue\n    class: strong     #", "", "class: strong", "namespace catalogue has two classes: product is bounded, price is strong"},
		"two pools":              {"    class: bounded\n    within: 2m", "    namespace: catalogue\n    pool:  checkout\n    critical: true\n    class: bounded\n    within: 2m", "", "pool:  checkout", "namespace catalogue is in two pools: product is in shared, customer is in checkout"},
		"critical beside others": {"  customer:\n", "  customer:\n    critical: true\n", "", "  customer:", "family customer is critical and shares a Redis with product, which is not: what happens to one happens to both"},
		"an empty pool":          {"  checkout: {why", "  spare: {why: Just in case.}\n  checkout: {why", "", "spare:", "no family is in pool spare"},
		"secret and unprotected": {"{class: secret, redact: mask}", "secret", "", "card.number", "field card.number of customer is secret, and is neither redacted nor under a ceiling"},
		"above the ceiling":      {"personal: 5m", "personal: 1m", "", "name: personal", "field name of customer is personal and would be kept for 2m0s, above the ceiling of 1m0s"},
		"no ceiling":             {"  personal: 5m", "  secret: 5m", "", "name: personal", "field name of customer is personal, and is neither redacted nor under a ceiling"},
		"toggle past release":    {"until: 4.4", "until: 4.2.0", "", "old-ttl:", "rollback toggle old-ttl was to be gone in release 4.2.0, and this is 4.2"},
		"from the future":        {"on: 2026-11-02", "on: 2026-12-02", "", "on: 2026-12-02", "a decision of 2026-12-02, which is not yet"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(good, c.old, c.new, 1)
			require.NotEqual(t, good, bad, "the example has changed: adapt this test")
			got := Check(parse(t, bad), day("2026-11-24"))
			require.Len(t, got, 1)
			require.Equal(t, c.what, got[0].What)
			require.Equal(t, lineOf(t, bad, c.line), got[0].Pos.Line)
			require.NotEmpty(t, got[0].Fix)
		})
	}
}

// A day is inside until it is over: reviews may happen on their day, exceptions end with the day
// before.
func TestDaysAtTheirEdges(t *testing.T) {
	c := parse(t, read(t, example))
	require.Empty(t, Check(c, day("2027-01-14")))
	require.Len(t, Check(c, day("2027-01-15")), 1)
	c.Exceptions = nil
	require.Empty(t, Check(c, day("2027-03-01")))
	require.Len(t, Check(c, day("2027-03-02")), 1)
}

func TestFormIsChecked(t *testing.T) {
	good := read(t, example)
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":       {"incidents:", "incident:", `unknown field`},
		"unknown control":     {"without: stale-while-revalidate", "without: stale-while", "control"},
		"no date":             {"2027-03-01", "soon", "not a date"},
		"no release":          {"until: 4.4", "until: next", "not a release"},
		"no release of ours":  {"release: 4.2  ", "#", "it is unknown whether the toggle is past its release"},
		"ttl above bound":     {"within: 10s", "within: 5s", "is above the family's bound (5s)"},
		"strong with a bound": {"class: strong     #", "class: strong\n    within: 3s #", "only a bounded family has a bound"},
		"strong and behind":   {"class: strong     #", "class: strong\n    writes: behind #", "only an eventual family can be written behind"},
		"redacted and behind": {"class: bounded    # no read is older than within\n    within: 10s\n", "class: eventual\n    writes: behind\n", "a family with redacted fields can't be written behind"},
		"unknown write path":  {"class: strong     #", "class: strong\n    writes: thru #", "write path"},
		"unknown TTL class":   {"ttl: profile", "ttl: profil", "TTL class"},
		"job without budget":  {"budget: {rate: 50/s, for: 30s}, ", "", "the job needs a budget"},
		"job without alert":   {`, budget: {rate: 200/s, for: 1m}, alert: "#catalogue-oncall"`, ", budget: {rate: 200/s, for: 1m}", "alert is missing"},
		"refresh, no period":  {"every: 5m, ", "", "a refresh needs its period"},
		"longer than period":  {"every: 5m", "every: 20s", "a run may take longer than its period"},
		"half an owner":       {`owner: {team: accounts, contact: "#accounts-oncall"}`, "owner: {team: accounts}", "a team and a contact"},
		"bad path":            {"card.number:", "card..number:", "not the path of a field"},
		"unknown pool":        {"pool: checkout", "pool: chekout", `did you mean "checkout"?`},
		"old word for pools":  {"pools: ", "places: ", "places is now pools"},
		"old word for pool":   {"    pool: checkout", "    place: checkout", "place is now pool"},
		"old word for lease":  {"    pool: checkout", "    lease: 5s", "lease is now read_lease"},
		"old control":         {"without: stale-while-revalidate", "without: fail-safe", "fail-safe is now stale-if-error"},
		"no default":          {"default: true, ", "", "0 pools are the default, where one must be"},
		"not yes or no":       {"critical: true", "critical: very", "critical"},
		"class of a field":    {"title: public", "title: publik", "class"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(good, c.old, c.new, 1)
			require.NotEqual(t, good, bad, "the example has changed: adapt this test")
			_, err := Parse("c.yaml", []byte(bad))
			var e *Error
			require.ErrorAs(t, err, &e)
			require.ErrorContains(t, err, c.want)
			require.Regexp(t, `^c\.yaml:\d+:\d+: `, err.Error())
		})
	}
}

func TestChangesNeedADecision(t *testing.T) {
	good := read(t, example)
	before := parse(t, good)
	require.Empty(t, CheckChange(before, before))

	moved := parse(t, "\n\n"+strings.Replace(good, "release: 4.2", "release: 4.3", 1))
	require.Empty(t, CheckChange(before, moved), "neither pools nor the next release are changes")

	changed := strings.Replace(good, "ttl: 10s", "ttl: 5s", 1)
	got := CheckChange(before, parse(t, changed))
	require.Len(t, got, 1)
	require.Equal(t, "the contract was changed, and no decision says why", got[0].What)

	decided := changed + "  - {on: 2026-11-24, what: Products are kept for 5 s., why: Even fresher., by: Tomas}\n"
	require.Empty(t, CheckChange(before, parse(t, decided)))

	forgetful := strings.Replace(decided, "Prices are strong.", "Prices are cheap.", 1)
	got = CheckChange(before, parse(t, forgetful))
	require.Len(t, got, 1)
	require.Contains(t, got[0].What, "is gone from the log")
}

func TestRenderIsGolden(t *testing.T) {
	for _, g := range []struct{ file, on string }{
		{"../../examples/contract/cache-contract.md", "2026-11-24"},
		{"testdata/overdue.md", "2027-07-01"},
	} {
		var b bytes.Buffer
		require.NoError(t, Render(&b, parse(t, read(t, example)), day(g.on)))
		if *update {
			require.NoError(t, os.WriteFile(g.file, b.Bytes(), 0o644))
		}
		require.Equal(t, read(t, g.file), b.String(), "go test ./reference/contract -update writes it anew")
	}
}

func TestReleases(t *testing.T) {
	order := []string{"0", "0.9", "1", "1.2", "1.10", "2", "2026.9", "2026.11.1"}
	for i, a := range order {
		for j, b := range order {
			x, err := ParseRelease(a)
			require.NoError(t, err)
			y, err := ParseRelease(b)
			require.NoError(t, err)
			require.Equal(t, i < j, x.Compare(y) < 0, "%s and %s", a, b)
			require.Equal(t, i == j, x.Compare(y) == 0, "%s and %s", a, b)
		}
	}
	for _, bad := range []string{"", ".", "1.", "v1", "-1", "1.+2", "1.x"} {
		_, err := ParseRelease(bad)
		require.Error(t, err, bad)
	}
}

func TestPolicyForgetsExpiredExceptions(t *testing.T) {
	c := parse(t, read(t, example))
	p, err := c.Policy(policy.Recommended(), day("2027-01-14"))
	require.NoError(t, err)
	require.False(t, p.Controls.Has(policy.StaleWhileRevalidate))
	require.True(t, p.Controls.Has(policy.Jitter))
	p, err = c.Policy(policy.Recommended(), day("2027-01-15"))
	require.NoError(t, err)
	require.Equal(t, policy.All(), p.Controls)
}

func TestRedaction(t *testing.T) {
	for name, c := range map[string]struct {
		fields   []Field
		in, want string
	}{
		"drop":              {[]Field{{Path: "a", Redact: Drop}}, `{"a":1,"b":2}`, `{"b":2}`},
		"mask":              {[]Field{{Path: "a", Redact: Mask}}, `{"a":{"x":1},"b":2}`, `{"a":"***","b":2}`},
		"not there":         {[]Field{{Path: "a", Redact: Drop}}, `{"b": 2}`, `{"b": 2}`},
		"deep":              {[]Field{{Path: "a.b", Redact: Mask}}, `{"a":{"b":1,"c":2}}`, `{"a":{"b":"***","c":2}}`},
		"lists":             {[]Field{{Path: "a.b", Redact: Drop}}, `{"a":[{"b":1},{"c":2},[{"b":3,"d":4}],5]}`, `{"a":[{},{"c":2},[{"d":4}],5]}`},
		"no object in path": {[]Field{{Path: "a.b", Redact: Drop}}, `{"a":7}`, `{"a":7}`},
		"spelt otherwise":   {[]Field{{Path: "abc", Redact: Drop}}, `{"\u0061bc":1}`, `{}`},
		"twice":             {[]Field{{Path: "a", Redact: Drop}}, `{"a":1,"a":2}`, `{}`},
		"two fields":        {[]Field{{Path: "a", Redact: Drop}, {Path: "b", Redact: Mask}}, `{"a":1,"b":2}`, `{"b":"***"}`},
		"empty":             {[]Field{{Path: "a", Redact: Drop}}, ``, ``},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Family{Fields: c.fields}.Redactor()([]byte(c.in))
			require.NoError(t, err)
			require.Equal(t, c.want, string(got))
		})
	}
	require.Nil(t, Family{Fields: []Field{{Path: "a", Sensitivity: Public}}}.Redactor())
	for _, bad := range []string{`[]`, `null`, `7`, `{`, `{"a":1}{"a":2}`, `x`} {
		_, err := Family{Fields: []Field{{Path: "a", Redact: Drop}}}.Redactor()([]byte(bad))
		require.ErrorIs(t, err, ErrRedaction, bad)
	}
}

// Whatever else a value holds, a redacted field's own is not in it afterwards.
func FuzzRedaction(f *testing.F) {
	f.Add(`{"rest":[1,{"a":"x"}]}`, "a", "b")
	f.Add(`{"a":{"b":[]}}`, "a", "a")
	f.Fuzz(func(t *testing.T, around, first, second string) {
		if first == "" || second == "" || strings.Contains(first+second, ".") {
			return
		}
		var object map[string]any
		if json.Unmarshal([]byte(around), &object) != nil || object == nil {
			return
		}
		const canary = "c4n4ry-8f2e"
		if strings.Contains(around, canary) || strings.Contains(first+second, canary) {
			return
		}
		object[first] = []any{map[string]any{second: canary}, map[string]any{second: []any{canary}}}
		in, err := json.Marshal(object)
		require.NoError(t, err)
		var back map[string]any // names that are not valid text change on the way
		require.NoError(t, json.Unmarshal(in, &back))
		if _, same := back[first]; !same {
			return
		}
		if inner, ok := back[first].([]any)[0].(map[string]any); !ok || inner[second] == nil {
			return
		}
		for _, how := range []Redaction{Drop, Mask} {
			out, err := Family{Fields: []Field{{Path: first + "." + second, Redact: how}}}.Redactor()(in)
			require.NoError(t, err)
			require.NotContains(t, string(out), canary)
			require.True(t, json.Valid(out))
		}
	})
}

func FuzzParse(f *testing.F) {
	src, err := os.ReadFile(example)
	require.NoError(f, err)
	f.Add(src)
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := Parse("c.yaml", src)
		if err != nil {
			var e *Error
			require.ErrorAs(t, err, &e)
			require.NotEmpty(t, e.Problems)
			return
		}
		Check(c, day("2026-11-24"))
		require.NoError(t, Render(&bytes.Buffer{}, c, day("2026-11-24")))
	})
}

// The default pool is the region's own Redis to a cache, which has no name; the others are called
// as the contract calls them.
func TestCachedFamiliesHaveTheirPlaces(t *testing.T) {
	at, writes := map[string]string{}, map[string]policy.WritePath{}
	for _, f := range parse(t, strings.Replace(read(t, example), "    critical: true", "    writes: through\n    critical: true", 1)).Cached() {
		at[f.Schema.Family], writes[f.Schema.Family] = f.Pool, f.Contract.Writes
	}
	require.Equal(t, map[string]policy.WritePath{"product": policy.Aside, "price": policy.Through, "customer": policy.Aside}, writes)
	require.Equal(t, map[string]string{"product": "", "price": "checkout", "customer": ""}, at)
}
