package slo

import (
	"cmp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseObjective(t *testing.T) {
	for _, c := range []struct {
		expr   string
		metric string
		labels map[string]string
		op     Op
		limit  Limit
	}{
		{"p99 < 120ms", "p99", nil, Less, Limit{0.12, UnitDuration, "120ms"}},
		{" p99{family=product, kind=read}<120ms ", "p99", map[string]string{"family": "product", "kind": "read"}, Less, Limit{0.12, UnitDuration, "120ms"}},
		{"p999{endpoint=read product} <= 1.5s", "p999", map[string]string{"endpoint": "read product"}, LessEqual, Limit{1.5, UnitDuration, "1.5s"}},
		{"max < 500us", "max", nil, Less, Limit{0.0005, UnitDuration, "500us"}},
		{"errors < 0.1%", "errors", nil, Less, Limit{0.001, UnitRatio, "0.1%"}},
		{"errors == 0%", "errors", nil, Equal, Limit{0, UnitRatio, "0%"}},
		{"goodput >= 900/s", "goodput", nil, GreaterEqual, Limit{900, UnitRate, "900/s"}},
		{"hit_ratio{tier=l1} > 80%", "hit_ratio", map[string]string{"tier": "l1"}, Greater, Limit{0.8, UnitRatio, "80%"}},
		{"source_qps.peak < 3x", "source_qps.peak", nil, Less, Limit{3, UnitTimes, "3x"}},
		{"source_qps.mean < 800/s", "source_qps.mean", nil, Less, Limit{800, UnitRate, "800/s"}},
		{"stampede.max <= 2", "stampede.max", nil, LessEqual, Limit{2, UnitCount, "2"}},
		{"stale{family=price,}", "", nil, "", Limit{}},
		{"violations == 0", "violations", nil, Equal, Limit{0, UnitCount, "0"}},
		{"staleness.max < 30s", "staleness.max", nil, Less, Limit{30, UnitDuration, "30s"}},
	} {
		o, err := ParseObjective(c.expr)
		if c.metric == "" {
			require.NotNil(t, err, c.expr)
			continue
		}
		require.Nil(t, err, c.expr)
		require.Equal(t, strings.TrimSpace(c.expr), o.Expr)
		require.Equal(t, c.metric, o.Metric)
		require.Equal(t, c.labels, o.Labels)
		require.Equal(t, c.op, o.Op)
		require.Equal(t, c.limit.Unit, o.Limit.Unit)
		require.Equal(t, c.limit.Text, o.Limit.Text)
		require.InDelta(t, c.limit.Value, o.Limit.Value, 1e-12)
	}
}

func TestParseErrorsPlaceTheOffendingText(t *testing.T) {
	for _, c := range []struct {
		expr   string
		offset int
		text   string
		msg    string
		hint   string
	}{
		{"", 0, "", "expected a metric", ""},
		{"< 5", 0, "<", "expected a metric", ""},
		{"p99.9 < 5ms", 0, "p99.9", "unknown metric", `did you mean "p999"?`},
		{"  hit_rate > 5%", 2, "hit_rate", "unknown metric", `did you mean "hit_ratio"?`},
		{"bananas < 5%", 0, "bananas", "unknown metric", "known: "},
		{"redis_memory.max < 5", 19, "5", "does not fit redis_memory.max", "500MB"},
		{"redis_memory.max == 5MB", 17, "==", "a peak of memory is never exactly equal", "use < or >"},
		{"redis_memory.max{family=page} < 5MB", 17, "family", "makes no sense", "region"},
		{"cross_region_bytes < 5ms", 21, "5ms", "does not fit cross_region_bytes", "500MB"},
		{"cost_per_million < 5EUR", 19, "5EUR", "does not fit cost_per_million", "without it"},
		{"cost_per_million == 5", 17, "==", "a cost is never exactly equal", "use < or >"},
		{"p99{famly=product} < 5ms", 4, "famly", "unknown label", `did you mean "family"?`},
		{"p99{} < 5ms", 4, "}", "expected a label", ""},
		{"p99{family} < 5ms", 10, "}", "expected =", ""},
		{"p99{family=} < 5ms", 11, "}", "expected a value", ""},
		{"p99{family=a, family=b} < 5ms", 14, "family", "twice", "keep one"},
		{"p99{family=a < 5ms", 18, "", "expected , or }", ""},
		{"p99{family=a=b} < 5ms", 12, "=b}", "expected , or }", ""},
		{"lost_writes{tier=l1} == 0", 12, "tier", "makes no sense for lost_writes", "takes no labels"},
		{"stale{kind=read} < 1%", 6, "kind", "makes no sense for stale", "family"},
		{"errors{tier=l1} < 1%", 7, "tier", "makes no sense for errors", "family"},
		{"hit_ratio{tier=source} > 1%", 15, "source", "no tier of this name", "l1"},
		{"p99{tier=l3} < 1ms", 9, "l3", "no tier of this name", `"l1"`},
		{"p99{kind=reads} < 1ms", 9, "reads", "no kind of this name", `"read"`},
		{"p99", 3, "", "expected a comparison", "< <= > >= =="},
		{"p99 5ms", 4, "5ms", "expected a comparison", ""},
		{"p99 = 5ms", 4, "=", "unknown comparison", `"=="`},
		{"errors != 5%", 7, "!=", "unknown comparison", ""},
		{"p99 == 5ms", 4, "==", "never exactly equal", "< or >"},
		{"recovery_time > 5s", 14, ">", "upper limit", ""},
		{"p99 <", 5, "", "expected a limit", "120ms"},
		{"p99 < fast", 6, "fast", "expected a number", "120ms"},
		{"p99 < -5ms", 6, "-5ms", "expected a number", ""},
		{"p99 < 5", 6, "5", "does not fit p99", "ms"},
		{"p99 < 5%", 6, "5%", "does not fit p99", "ms"},
		{"p99 < 5m", 6, "5m", "does not fit p99", "us, ms, s"},
		{"p99 < 3x", 6, "3x", "does not fit p99", ""},
		{"p99 < 5.5.5ms", 6, "5.5.5ms", "not a number", ""},
		{"errors < 5", 9, "5", "does not fit errors", "1%"},
		{"errors < 101%", 9, "101%", "above 100%", ""},
		{"goodput > 5", 10, "5", "does not fit goodput", "/s"},
		{"goodput > 1x", 10, "1x", "does not fit goodput", "/s"},
		{"source_qps.peak < 5", 18, "5", "does not fit", "3x"},
		{"stampede.max <= 2.5", 16, "2.5", "whole number", ""},
		{"stampede.max <= 2/s", 16, "2/s", "does not fit", "whole number"},
		{"budget_burn < 2x", 0, "budget_burn", "unknown metric", "budget_burn.99"},
		{"budget_burn.98 < 2x", 0, "budget_burn.98", "unknown metric", "budget_burn.99"},
		{"budget_burn.999 < 2", 18, "2", "does not fit", "14.4x"},
		{"budget_burn.999 < 2%", 18, "2%", "does not fit", "14.4x"},
		{"budget_burn.99 < 101x", 17, "101x", "never above 100x", "14.4x"},
		{"budget_burn.99 == 1x", 15, "==", "a burn is never exactly equal", "use <"},
		{"budget_burn.99{tier=l1} < 1x", 15, "tier", "makes no sense", "endpoint"},
		{"p99 < 5ms please", 10, "please", "unexpected text", ""},
		{"p99 < 5ms && p95 < 1ms", 10, "&&", "unexpected text", ""},
	} {
		_, err := ParseObjective(c.expr)
		require.NotNil(t, err, c.expr)
		require.Equal(t, c.offset, err.Offset, c.expr)
		require.Equal(t, c.text, err.Text, c.expr)
		require.Contains(t, err.Error(), c.msg, c.expr)
		require.Contains(t, err.Hint, c.hint, c.expr)
	}
}

// Every documented metric parses with each of its labels, a limit of its unit, and in its groups
// only.
func TestMetricsParseAsDocumented(t *testing.T) {
	limits := map[Unit]string{UnitCount: "2", UnitDuration: "20ms", UnitRatio: "2%", UnitRate: "2/s", UnitBudget: "2x", UnitBytes: "2MB", UnitMoney: "0.2"}
	values := map[string]string{"tier": "l1", "kind": "read"}
	for _, m := range Metrics() {
		require.NotEmpty(t, m.Doc, m.Name)
		o, err := ParseObjective(m.Name + " < " + limits[m.Unit])
		require.Nil(t, err, m.Name)
		require.Equal(t, m.Safety, o.Safety())
		for _, g := range Groups() {
			bad := o.CheckGroup(g)
			allowed := false
			for _, mine := range m.Groups {
				allowed = allowed || mine == g
			}
			require.Equal(t, allowed, bad == nil, "%s under %s: %v", m.Name, g, bad)
		}
		for _, l := range m.Labels {
			v := cmp.Or(values[l], "x")
			o, err := ParseObjective(m.Name + "{" + l + "=" + v + "} < " + limits[m.Unit])
			require.Nil(t, err, m.Name)
			require.Equal(t, v, o.Labels[l])
		}
	}
}

func TestCheckGroup(t *testing.T) {
	for _, c := range []struct {
		expr  string
		group Group
		msg   string
	}{
		{"recovery_time < 3s", GroupFault, "can't stand under"},
		{"lost_writes == 0", GroupFault, "whole drill"},
		{"source_qps.peak < 3x", GroupSteady, "can't judge steady itself"},
		{"p99 < 3s", "warmup", "unknown group"},
	} {
		bad := parsed(t, c.expr).CheckGroup(c.group)
		require.NotNil(t, bad, c.expr)
		require.Contains(t, bad.Error(), c.msg)
	}
	require.Nil(t, parsed(t, "recovery_time < 3s").CheckGroup(GroupRecovery))
	require.Nil(t, parsed(t, "source_qps.peak < 3x").CheckGroup(GroupFault))
	require.Nil(t, parsed(t, "violations == 0").CheckGroup(GroupSteady))
}

func TestCheckValues(t *testing.T) {
	o := parsed(t, "p99{family=prodct, region=eu, tenant=t1, kind=read} < 5ms")
	bad := o.CheckValues(map[string][]string{"family": {"product", "price"}, "region": {"us"}})
	require.Len(t, bad, 2)
	require.Equal(t, ParseError{11, "prodct", "no family of this name", `did you mean "product"?`}, bad[0])
	require.Equal(t, 26, bad[1].Offset)
	require.Equal(t, "eu", bad[1].Text)
	require.Empty(t, o.CheckValues(map[string][]string{"family": {"prodct"}}))
}

func TestSameIgnoresTheLimit(t *testing.T) {
	require.True(t, parsed(t, "p99{kind=read} < 5ms").Same(parsed(t, "p99{ kind = read } <= 7ms")))
	require.False(t, parsed(t, "p99{kind=read} < 5ms").Same(parsed(t, "p99 < 5ms")))
	require.False(t, parsed(t, "p95 < 5ms").Same(parsed(t, "p99 < 5ms")))
}

func FuzzParseObjective(f *testing.F) {
	for _, s := range []string{"p99{family=product, kind=read} < 120ms", "stale{", "errors<1%", "p99 < 1e9ms", "max{tier=é} > ..", "\x00", "source_qps.peak < 3x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		o, err := ParseObjective(expr)
		if err != nil {
			if err.Offset < 0 || err.Offset+len(err.Text) > len(expr) || expr[err.Offset:err.Offset+len(err.Text)] != err.Text {
				t.Fatalf("%q: the error points at %d %q, which is not there", expr, err.Offset, err.Text)
			}
			return
		}
		again, err := ParseObjective(o.Expr)
		if err != nil || !again.Same(o) || again.Op != o.Op || again.Limit != o.Limit {
			t.Fatalf("%q: its Expr %q reads differently: %v", expr, o.Expr, err)
		}
	})
}

func parsed(t *testing.T, expr string) Objective {
	t.Helper()
	o, err := ParseObjective(expr)
	require.Nil(t, err, expr)
	return o
}
