package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report"
)

// earlier is a report with a stale read of a strong family and a leak.
func earlier() report.Report {
	at := func(s float64) *float64 { return &s }
	seq := func(n uint64) *uint64 { return &n }
	return report.Report{Version: "1", Scenarios: []report.Scenario{
		{Name: "quiet", Outcome: report.Pass},
		{Name: "split", Outcome: report.Fail, Why: "violations == 0: observed 1", Accusations: []report.Accusation{
			{
				Kind: "leak", Key: "price:9", Class: "strong", AtS: 1, Text: "price:9 answered with the value of price:8",
				Proof: "asked for price:9", History: []report.Event{{What: "read", Seq: seq(3), SentS: at(1), ReturnedS: at(1.5), Accused: true}},
				Faults: []string{},
			},
			{
				Kind: "violation", Key: "price:9", Class: "strong", AtS: 33.104, Text: "price:9 read v3", Proof: "33.104s > 32.204s",
				History: []report.Event{
					{What: "committed", Version: 3, Writer: "write 5", AtS: at(30)},
					{What: "committed", Version: 4, Writer: "write 7", AtS: at(32.204)},
					{What: "read", Seq: seq(9), Version: 3, Writer: "write 5", SentS: at(33.104), ReturnedS: at(33.106), Tier: "l2", Worker: "eu-1", Accused: true},
				},
				Faults: []string{"redis.restart 32s..33.5s"},
			},
		}},
	}}.Conclude()
}

func earlierFiles(t *testing.T) map[string]string {
	var b bytes.Buffer
	require.NoError(t, report.JSON(&b, earlier()))
	return map[string]string{"report.json": b.String()}
}

func TestReportPrintsTheVerdictAgain(t *testing.T) {
	code, out, errs := cli(t, earlierFiles(t), "report", ".")
	require.Equal(t, exitPass, code, errs)
	require.Contains(t, out, "1 passed, 1 failed, 0 unknown")
	require.Contains(t, out, "cachedrill report . --explain 1 (all: 1 to 2)")

	code, out, _ = cli(t, earlierFiles(t), "report", ".", "--json")
	require.Equal(t, exitPass, code)
	require.Equal(t, earlierFiles(t)["report.json"], out)
}

func TestReportExplains(t *testing.T) {
	code, out, errs := cli(t, earlierFiles(t), "report", ".", "--explain", "2")
	require.Equal(t, exitPass, code, errs)
	require.Equal(t, `accusation 2: violation, class strong, in split
price:9 read v3

  time         who      what        version   note
  30.000000s   source   committed   v3        value: write 5
  32.204000s   source   committed   v4        value: write 7
  33.104000s   read 9   began
  33.106000s   read 9   answered    v3        from l2, at eu-1, value: write 5, ACCUSED

proof: 33.104s > 32.204s
fault: redis.restart 32s..33.5s
`, out)

	code, out, _ = cli(t, earlierFiles(t), "report", ".", "--explain", "2", "--json")
	require.Equal(t, exitPass, code)
	var a report.Accusation
	require.NoError(t, json.Unmarshal([]byte(out), &a))
	require.Equal(t, earlier().Scenarios[1].Accusations[1], a)

	code, out, errs = cli(t, earlierFiles(t), "report", ".", "--explain", "2", "--html", "why.html")
	require.Equal(t, exitPass, code, errs)
	require.Empty(t, out)
	page, err := os.ReadFile("why.html")
	require.NoError(t, err)
	require.Contains(t, string(page), "write v4")
}

func TestReportRefuses(t *testing.T) {
	good := earlierFiles(t)
	none := report.Report{Scenarios: []report.Scenario{{Name: "a"}}}.Conclude()
	var b bytes.Buffer
	require.NoError(t, report.JSON(&b, none))
	for _, c := range []struct {
		name  string
		files map[string]string
		args  []string
		says  []string
	}{
		{"missing", nil, []string{"report", "."}, []string{"report.json: no such file", "--out"}},
		{"not JSON", map[string]string{"report.json": "<html>"}, []string{"report", "."}, []string{"not JSON"}},
		{"no schema", map[string]string{"report.json": "{}"}, []string{"report", "."}, []string{"no schema"}},
		{"another schema", map[string]string{"report.json": `{"schema": "cachedrill.report/9"}`}, []string{"report", "."},
			[]string{`"cachedrill.report/9"`, report.Schema}},
		{"a field of another type", map[string]string{"report.json": `{"schema": "` + report.Schema + `", "seed": "x"}`}, []string{"report", "."}, []string{"seed"}},
		{"unknown accusation", good, []string{"report", ".", "--explain", "3"},
			[]string{"no accusation 3", "1  split: leak of price:9", "2  split: violation of price:9"}},
		{"accusation 0", good, []string{"report", ".", "--explain", "0"}, []string{"no accusation 0"}},
		{"nothing accused", map[string]string{"report.json": b.String()}, []string{"report", ".", "--explain", "1"}, []string{"nothing was accused"}},
		{"html of a leak", good, []string{"report", ".", "--explain", "1", "--html", "x"}, []string{"only stale reads of strong families"}},
		{"html without a number", good, []string{"report", ".", "--html", "x"}, []string{"--explain N"}},
		{"html and JSON", good, []string{"report", ".", "--explain", "2", "--html", "x", "--json"}, []string{"exclude each other"}},
		{"no directory", good, []string{"report"}, []string{"accepts 1 arg"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := cli(t, c.files, c.args...)
			require.Equal(t, exitUsage, code)
			require.Empty(t, out)
			for _, s := range c.says {
				require.Contains(t, errs, s)
			}
		})
	}
}
