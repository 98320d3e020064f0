package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/cachedrill/cachedrill/report/slo"
)

// Markdown writes the report as tables, for a job summary or a pull request.
func Markdown(w io.Writer, r Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# cachedrill: %s\n\n", r.Outcome)
	fmt.Fprintf(&b, "%s. Seed %d, cachedrill %s, redis %s, %s, %d CPUs, started %s.\n\n",
		tallyLine(r.Scenarios), r.Seed, escaped(r.Version), escaped(r.Environment.Redis), escaped(r.Environment.Go),
		r.Environment.CPUs, r.Started.UTC().Format("2006-01-02 15:04:05 UTC"))
	if len(r.Scenarios) > 0 {
		b.WriteString("| drill | outcome | policy | recovered | why |\n| --- | --- | --- | --- | --- |\n")
		for _, s := range r.Scenarios {
			mdRow(&b, s.Name, s.Outcome.String(), s.Policy, orDash(s.RecoveryS, "s", 1), s.Why)
		}
		b.WriteByte('\n')
	}
	for _, s := range r.Scenarios {
		mdScenario(&b, s)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing Markdown: %w", err)
	}
	return nil
}

func mdScenario(b *strings.Builder, s Drill) {
	fmt.Fprintf(b, "## %s: %s\n\n", escaped(s.Name), s.Outcome)
	if s.Description != "" {
		fmt.Fprintf(b, "%s\n\n", escaped(s.Description))
	}
	mdRecovery(b, s.Recovery)
	if len(s.SLOs) > 0 {
		b.WriteString("| objective | when | outcome | observed | evidence |\n| --- | --- | --- | --- | --- |\n")
		for _, o := range s.SLOs {
			mdRow(b, o.Expr, string(o.Phase), o.Outcome.String(), o.Observed, cmp.Or(o.Why, o.Evidence))
		}
		b.WriteByte('\n')
	}
	if line := consistencyLine(s); line != "" {
		fmt.Fprintf(b, "%s.\n\n", escaped(line))
	}
	for _, line := range premiseLines(s.Premises) {
		fmt.Fprintf(b, "%s.\n\n", escaped(upperFirst(line)))
	}
	for _, n := range s.Notes {
		fmt.Fprintf(b, "Note: %s.\n\n", escaped(n))
	}
	if len(s.Phases) > 0 {
		b.WriteString("| phase | from | to | operations | errors | p50 | p99 | max | source mean | source peak | stampede | stale reads |\n" +
			"| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n")
		for _, p := range s.Phases {
			l := [3]string{"-", "-", "-"}
			if p.LatencyMS != nil {
				l = [3]string{slo.FormatSeconds(p.LatencyMS.P50 / 1e3), slo.FormatSeconds(p.LatencyMS.P99 / 1e3), slo.FormatSeconds(p.LatencyMS.Max / 1e3)}
			}
			stampede := "-"
			if p.StampedeMax != nil {
				stampede = slo.FormatCount(*p.StampedeMax)
			}
			mdRow(b, p.Name, slo.FormatDecimal(p.StartS, 2)+"s", slo.FormatDecimal(p.EndS, 2)+"s", slo.FormatCount(p.Requests), slo.FormatCount(p.Errors), l[0], l[1], l[2],
				orDash(p.SourceQPS.Mean, "/s", 1), orDash(p.SourceQPS.Peak, "/s", 0), stampede,
				slo.FormatCount(p.Reads.Stale)+" of "+slo.FormatCount(p.Reads.Total))
		}
		b.WriteByte('\n')
	}
	mdCaches(b, s)
	if line := costLine(s); line != "" {
		fmt.Fprintf(b, "%s.\n\n", escaped(upperFirst(line)))
	}
	if len(s.Accusations) > 0 {
		b.WriteString("| accusation | kind | what | proof |\n| --: | --- | --- | --- |\n")
		for _, a := range s.Accusations[:min(len(s.Accusations), maxAccusations)] {
			mdRow(b, fmt.Sprint(a.N), a.Kind, a.Text, a.Proof)
		}
		fmt.Fprintf(b, "\n%d in all; `cachedrill report DIR --explain N` shows the evidence of each.\n\n", len(s.Accusations))
	}
	if len(s.Faults) > 0 {
		b.WriteString("| fault | injected | healed | evidence |\n| --- | --: | --: | --- |\n")
		for _, f := range s.Faults {
			mdRow(b, f.Name, orDash(f.InjectedS, "s", 3), orDash(f.HealedS, "s", 3), cmp.Or(f.Problem, f.Evidence, "none"))
		}
		b.WriteByte('\n')
	}
}

// mdCaches shows what the caches counted themselves, by family and by region.
func mdCaches(b *strings.Builder, s Drill) {
	if s.Cache == nil {
		return
	}
	b.WriteString("| cache | reads | L1 hits | L2 hits | miss penalty | source loads | source checks | stale served | lease waits | shared looks | breaker openings | redis memory | crossed regions |\n" +
		"| --- | --: | --: | --: | --: | --: | --: | --- | --: | --- | --: | --: | --: |\n")
	for _, r := range s.Breakdown {
		c := r.Cache
		if c == nil || r.Labels.Tenant != "" {
			continue
		}
		looks := "-"
		if f := c.Flights; f != nil {
			looks = fmt.Sprintf("%s by %s readers, %s at most", slo.FormatCount(f.Looks), slo.FormatCount(f.Readers), orDash(f.WidestAtMost, "", 0))
		}
		stale := "-"
		if c.SourceLoads != nil {
			stale = listed(c.StaleServes, "none")
		}
		mdRow(b, cmp.Or(r.Labels.Family, r.Labels.Region), slo.FormatCount(c.Reads), share(c.HitRatio.L1), share(c.HitRatio.L2), orDash(c.MissPenaltyMS, "ms", 2),
			countOrDash(c.SourceLoads), countOrDash(c.SourceChecks), stale, countOrDash(c.LeaseWaits), looks, countOrDash(c.BreakerOpenings),
			bytesOrDash(r.RedisMemoryMaxBytes), bytesOrDash(r.CrossRegionBytes))
	}
	b.WriteByte('\n')
}

func share(r *float64) string {
	if r == nil {
		return "-"
	}
	return slo.FormatPercent(*r)
}

func countOrDash(n *int64) string {
	if n == nil {
		return "-"
	}
	return slo.FormatCount(*n)
}

func bytesOrDash(n *int64) string {
	if n == nil {
		return "-"
	}
	return slo.FormatBytes(float64(*n))
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// mdRecovery tells of a service that did not come back by itself.
func mdRecovery(b *strings.Builder, r *RecoverySummary) {
	if r == nil || r.State != Stuck && r.State != Recovering {
		return
	}
	fmt.Fprintf(b, "**%s** after the fault: %s.\n\n", r.State, escaped(r.Evidence))
	for _, effect := range r.SustainedBy {
		fmt.Fprintf(b, "- %s\n", escaped(effect))
	}
	if r.Dip != nil {
		fmt.Fprintf(b, "- after %ss of lower load: %s\n", slo.FormatDecimal(r.Dip.ForS, 1), r.Dip.State)
	}
	b.WriteByte('\n')
}

// maxAccusations is how many accusations of a drill a page for people lists.
const maxAccusations = 5

func orDash(v *float64, unit string, decimals int) string {
	if v == nil {
		return "-"
	}
	return slo.FormatDecimal(*v, decimals) + unit
}

func mdRow(b *strings.Builder, cells ...string) {
	for _, c := range cells {
		b.WriteString("| " + escaped(c) + " ")
	}
	b.WriteString("|\n")
}

// escaped keeps text from being read as Markdown or HTML: on one line, with what has a meaning
// escaped.
func escaped(s string) string {
	return mdEscapes.Replace(oneLine(s))
}

var mdEscapes = strings.NewReplacer(
	`\`, `\\`, "|", `\|`, "<", "&lt;", ">", "&gt;", "&", "&amp;",
	"*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`, "]", `\]`, "#", `\#`, "~", `\~`,
)
