package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// brokenRegister drives a register whose reads may answer any earlier version, and gives what the
// oracle accused.
func brokenRegister(seed uint64, historian bool) []oracle.Accusation {
	rng := rand.New(rand.NewPCG(seed, 5))
	key := targets.Key{Family: "price", ID: "9"}
	j := oracle.New(oracle.Config{Run: "r", Historian: historian, Families: map[string]oracle.Family{"price": {Class: oracle.Strong}}})
	tokens, at := []string{targets.NewToken("r", targets.SeedSeq, key)}, time.Duration(0)
	if historian {
		j.Commit(targets.Commit{Key: key, Version: 1, Token: tokens[0]})
	}
	var open []targets.Operation // have ended, and the judge has not seen them: reads overlap writes
	for seq := range uint64(12) {
		at += time.Duration(rng.IntN(5)) * time.Millisecond
		op := targets.Operation{Sent: at, Returned: at + time.Duration(rng.IntN(8))*time.Millisecond,
			Request: targets.Request{Seq: seq, Key: key, Region: "eu"}}
		if rng.IntN(3) == 0 {
			op.Kind, op.Token = targets.Write, targets.NewToken("r", seq, key)
			j.Begin(op)
			tokens = append(tokens, op.Token)
			op.Reply.Version = uint64(len(tokens))
			if historian {
				j.Commit(targets.Commit{Key: key, Version: op.Reply.Version, Token: op.Token, At: at})
			}
		} else {
			j.Begin(op)
			v := rng.IntN(len(tokens))
			op.Reply = targets.Reply{Version: uint64(v + 1), Token: tokens[v], Tier: targets.TierL2, Worker: "eu-1"}
		}
		open = append(open, op)
		if rng.IntN(2) == 0 {
			j.End(open[0])
			open = open[1:]
		}
	}
	for _, op := range open {
		j.End(op)
	}
	if historian {
		j.Commit(targets.Commit{At: time.Hour})
	}
	return j.Finish().Accusations
}

// What a report shows of a stale read is a proof: an independent checker, which is given nothing
// else, finds no order that explains it; and one without the read. It survives JSON.
func TestEvidenceInReportsIsAProof(t *testing.T) {
	for _, historian := range []bool{false, true} {
		t.Run(fmt.Sprintf("historian=%v", historian), func(t *testing.T) {
			checked := 0
			for seed := range uint64(1000) {
				for _, a := range Accusations(brokenRegister(seed, historian)) {
					require.Equal(t, "violation", a.Kind, "seed %d: each stale read of a strong family is there once", seed)
					checked++
					data, err := json.Marshal(a)
					require.NoError(t, err)
					var back Accusation
					require.NoError(t, json.Unmarshal(data, &back))
					require.Equal(t, a, back)
					require.False(t, back.Linearizable(), "seed %d: %s", seed, data)
					require.True(t, back.History[len(back.History)-1].Accused)
					back.History = back.History[:len(back.History)-1]
					require.True(t, back.Linearizable(), "seed %d: %s", seed, data)
				}
			}
			require.Greater(t, checked, 300)
		})
	}
}

func TestExplainGolden(t *testing.T) {
	a := exampleAccusation(t)
	var b bytes.Buffer
	require.NoError(t, Explain(&b, a, "region-split"))
	path := filepath.Join("testdata", "explain.txt")
	if *update {
		require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

// Each kind of accusation has a usual cause, and each cause a heading in the page that it links to.
func TestCausesAreExplained(t *testing.T) {
	page, err := os.ReadFile("../docs/causes.md")
	require.NoError(t, err)
	headings := map[string]bool{}
	for _, line := range strings.Split(string(page), "\n") {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			headings[strings.ReplaceAll(strings.ToLower(h), " ", "-")] = true
		}
	}
	seen := map[string]bool{}
	check := func(a Accusation, want string) {
		c := a.Cause()
		at, anchor, _ := strings.Cut(c.Link, "#")
		require.Equal(t, causesPage, at)
		require.True(t, headings[anchor], "%s: %s", a.Kind, c.Link)
		require.Contains(t, c.Text, want)
		seen[anchor] = true
	}
	for _, kind := range oracle.Kinds() {
		check(Accusation{Kind: kind}, "")
	}
	began, ended, seq := 1.0, 2.0, uint64(3)
	stale := Accusation{Kind: "violation", History: []Event{{What: "read", Accused: true, SentS: &began, ReturnedS: &ended}}}
	check(stale, "a copy that the write did not drop")
	stale.Faults = []string{"sham{for: 1s} 1s..2s", "region.split 5s..9s"}
	check(stale, "an invalidation that was lost or late during region.split 5s..9s")
	stale.Beside = []Event{{What: "read", Seq: &seq}}
	check(stale, "a slow fill: read 3 was under way while the value was replaced")
	require.Equal(t, headings, seen)
}

// What missed the objective is named, and nothing else.
func TestTheAccusationThatDecided(t *testing.T) {
	miss := func(expr, evidence string, safety bool) SLO {
		return SLO{Expr: expr, Outcome: slo.Fail, Evidence: evidence, Safety: safety}
	}
	accused := []Accusation{{Kind: "rollback", Text: "gone"}, {Kind: "violation", Text: "too old"}, {Kind: "stale", Text: "old"}}
	for name, c := range map[string]struct {
		rows []SLO
		want int
	}{
		"a safety objective first":        {[]SLO{miss("staleness.max < 1s", "old", false), miss("violations == 0", "too old", true)}, 2},
		"performance, by its evidence":    {[]SLO{miss("p99 < 1s", "worst: 2s", false), miss("staleness.max < 1s", "old", false)}, 3},
		"nothing supports a slow answer":  {[]SLO{miss("p99 < 1s", "worst: 2s", false)}, 0},
		"safety without a quoted one":     {[]SLO{miss("rollbacks == 0", "another", true)}, 1},
		"what passed quotes nothing":      {[]SLO{{Outcome: slo.Pass, Evidence: "old"}, miss("p99 < 1s", "worst: 2s", false)}, 0},
		"an earlier form without numbers": {nil, 1},
	} {
		r := Report{Scenarios: []Drill{{Name: "passed", Outcome: slo.Pass}, {Name: "failed", Outcome: slo.Fail, SLOs: c.rows, Accusations: slices.Clone(accused)}}}.Conclude()
		n, ok := r.Decided()
		require.Equal(t, c.want, n, name)
		require.Equal(t, c.want > 0, ok, name)
		var text bytes.Buffer
		require.NoError(t, Text(&text, r, TextOptions{Dir: "out"}))
		require.Equal(t, c.want > 0, strings.Contains(text.String(), "evidence: cachedrill report out --explain"), name)
	}
}

func TestVisualize(t *testing.T) {
	a := exampleAccusation(t)
	var b bytes.Buffer
	require.NoError(t, Visualize(&b, a))
	require.Contains(t, b.String(), "<html")
	require.Contains(t, b.String(), "read: v1")
	a.Kind = "leak"
	require.ErrorIs(t, Visualize(&b, a), ErrNoVisualization)
	a.Kind, a.Class = "stale", "bounded"
	require.ErrorIs(t, Visualize(&b, a), ErrNoVisualization)
}

func TestAccusationsAreNumberedOverTheReport(t *testing.T) {
	r := Report{Scenarios: []Drill{
		{Name: "a", Accusations: []Accusation{{Kind: "leak"}, {Kind: "stale"}}}, {Name: "b"}, {Name: "c", Accusations: []Accusation{{Kind: "rollback"}}},
	}}.Conclude()
	for n, where := range map[int]string{1: "a", 2: "a", 3: "c"} {
		a, s, ok := r.Accusation(n)
		require.True(t, ok)
		require.Equal(t, n, a.N)
		require.Equal(t, where, s.Name)
	}
	_, _, ok := r.Accusation(4)
	require.False(t, ok)
	_, _, ok = r.Accusation(0)
	require.False(t, ok)
}

// exampleAccusation is of a stale read whose superseding version was seen by another read.
func exampleAccusation(t *testing.T) Accusation {
	key := targets.Key{Family: "price", ID: "9", Tenant: "t3"}
	j := oracle.New(oracle.Config{Run: "r", Families: map[string]oracle.Family{"price": {Class: oracle.Strong}}})
	do := func(op targets.Operation, from, to time.Duration) {
		op.Key, op.Region, op.Sent = key, "eu", from*time.Millisecond
		j.Begin(op)
		op.Returned = to * time.Millisecond
		j.End(op)
	}
	tokens := []string{"", targets.NewToken("r", targets.SeedSeq, key), targets.NewToken("r", 17, key)}
	read := func(seq, v uint64, worker string) targets.Operation {
		return targets.Operation{Request: targets.Request{Seq: seq},
			Reply: targets.Reply{Version: v, Token: tokens[v], Tier: targets.TierL2, Worker: worker}}
	}
	do(targets.Operation{Request: targets.Request{Seq: 17, Kind: targets.Write, Token: tokens[2]}, Outcome: targets.Unknown}, 5000, 5040)
	do(read(30, 2, "eu-2"), 5050, 5052)
	do(read(41, 1, "eu-1"), 5952, 5953)
	f := j.Finish()
	all := Accusations(f.Accusations)
	all[0].Faults = []string{"redis.restart{region: eu} 4.5s..5.6s (healed 352ms before)", "region.split 5s..9s"}
	r := Report{Scenarios: []Drill{{Name: "region-split", Accusations: all}}}.Conclude()
	a, _, ok := r.Accusation(1)
	require.True(t, ok)
	return a
}
