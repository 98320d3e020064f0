package scenarios

import (
	"fmt"
	"slices"
	"time"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets"
)

// window is the part of a drill over which a group of objectives judges, as far as the plan knows
// it.
type window struct {
	phase    string // that may be lengthened
	from, to time.Duration
	planned  time.Duration // of that phase
}

func (w window) length() time.Duration { return w.to - w.from }

// longer is the length of the phase with which the window is as long as needed.
func (w window) longer(needed time.Duration) time.Duration { return w.planned + needed - w.length() }

// window gives the longest that a group can have. Recovery begins when the last fault has been seen
// healed: what the plan leaves of the fault phase is part of it.
func (sc *Scenario) window(g slo.Group) window {
	ph := sc.Phases
	steady := ph.Warmup
	fault := steady + ph.Steady
	switch g {
	case slo.GroupSteady:
		return window{"steady", steady, fault, ph.Steady}
	case slo.GroupFault:
		return window{"fault", fault, fault + ph.Fault, ph.Fault}
	case slo.GroupRecovery:
		return window{"recovery", fault + sc.faultsEnd(), ph.Total(), ph.Recovery}
	}
	return window{"recovery", steady, ph.Total(), ph.Recovery}
}

// faultsEnd is when the last fault is over at the earliest, from the start of the fault phase.
func (sc *Scenario) faultsEnd() time.Duration {
	end := time.Duration(0)
	for _, p := range sc.Faults {
		end = max(end, faultEnd(p))
	}
	return min(end, sc.Phases.Fault)
}

// checkSamples refuses an objective that can't pass, since too little of what it is about is
// planned. What the plan can't know, such as which tier will answer, is taken for as much as is
// possible.
func checkSamples(n strictyaml.Node, o slo.Objective, g slo.Group, sc *Scenario) {
	least, of := o.LeastSamples(), o.Definition().Needs.Samples
	w := sc.window(g)
	if w.length() <= 0 || len(sc.Workload.Mixes) == 0 {
		return // reported elsewhere
	}
	if o.Metric == "source_qps.peak" && w.length() < time.Second {
		n.Fail("", fmt.Sprintf("the %s phase of %v in %s is too short to show it: it counts loads by whole seconds", w.phase, w.length(), sc.Name),
			lengthen(w, time.Second, sc))
		return
	}
	if of == slo.SampleNone {
		return
	}
	share := sc.share(o.Labels, of)
	if share == 0 {
		n.Fail("", fmt.Sprintf("the workload of %s has no %s of these labels", sc.Name, of), "")
		return
	}
	planned := operations(sc.Workload.Steps, w.from, w.to) * share
	if of == slo.SampleCommit || o.Labels["kind"] == targets.Write.String() {
		planned += sc.burstWrites(w.length())
	}
	if planned >= float64(least) || planned <= 0 {
		return
	}
	needed := time.Duration(float64(w.length()) * float64(least) / planned)
	n.Fail("", fmt.Sprintf("about %.0f %s of these labels are planned in the %s phase of %s (%v), and it can't pass with fewer than %d",
		planned, of, w.phase, sc.Name, w.length(), least), lengthen(w, needed, sc))
}

// lengthen says which phase would do, rounded up to a tenth of a second.
func lengthen(w window, needed time.Duration, sc *Scenario) string {
	const grain = 100 * time.Millisecond
	long := (w.longer(needed) + grain - 1) / grain * grain
	hint := fmt.Sprintf("write phases: {%s: %v} or more", w.phase, long)
	if w.phase == "fault" && sc.faultsEnd() < long {
		hint += ", and let the fault last as long: the phase ends when it has healed"
	}
	return hint
}

// operations is how many are due from an offset up to another, by steps that begin at 0.
func operations(steps []load.Step, from, to time.Duration) float64 {
	n := 0.0
	for i, s := range steps {
		end := to
		if i+1 < len(steps) {
			end = min(to, steps[i+1].At)
		}
		if begin := max(from, s.At); end > begin {
			n += s.Rate * (end - begin).Seconds()
		}
	}
	return n
}

// burstWrites is how many writes planned bursts may add at most.
func (sc *Scenario) burstWrites(length time.Duration) float64 {
	b := sc.Workload.Bursts
	if b.Every <= 0 {
		return 0
	}
	return float64(b.Size) * (float64(length/b.Every) + 1)
}

// share is which part of the operations is a sample of the given labels, 0..1.
func (sc *Scenario) share(labels map[string]string, of slo.Sample) float64 {
	sum := 0.0
	for _, m := range sc.Workload.Mixes {
		promised, _ := sc.Target.Family(m.Family)
		if !fits(labels["family"], m.Family) || !fits(labels["class"], promised.Class) {
			continue
		}
		part := 0.0
		for kind, share := range map[targets.Kind]float64{
			targets.Read: 1 - m.Writes - m.Deletes, targets.Write: m.Writes, targets.Delete: m.Deletes,
		} {
			if fits(labels["kind"], kind.String()) && fits(labels["endpoint"], kind.String()+" "+m.Family) &&
				(of == slo.SampleOperation || kind.Changes() == (of == slo.SampleCommit)) {
				part += share
			}
		}
		if tenant := labels["tenant"]; tenant != "" {
			part *= tenantShare(m, tenant)
		}
		sum += m.Share * part
	}
	if labels["region"] != "" {
		sum /= float64(len(sc.Target.RegionNames())) // clients are spread evenly
	}
	return sum
}

func fits(label, value string) bool { return label == "" || label == value }

// tenantShare is how many of a family's operations are about a tenant's keys: popular keys are
// spread over the tenants like anything else.
func tenantShare(m load.Mix, tenant string) float64 {
	i := slices.Index(m.Tenants, tenant)
	if i < 0 {
		return 0
	}
	m.Share = 1
	g, err := load.NewGenerator(load.Workload{Run: "plan", Mixes: []load.Mix{m}})
	if err != nil {
		return 1 // an impossible workload is refused when the drill is prepared
	}
	share := 0.0
	for rank := i; rank < m.Keys; rank += len(m.Tenants) {
		share += g.Probability(m.Family, rank)
	}
	return share
}

// labelValues are the values that labels can have in a drill.
func (sc *Scenario) labelValues() map[string][]string {
	known := map[string][]string{
		"family": sc.Target.FamilyNames(),
		"region": sc.Target.RegionNames(),
		"class":  policy.Classes(),
	}
	if len(sc.Workload.Mixes) == 0 {
		return known
	}
	var tenants, endpoints, families []string
	for _, m := range sc.Workload.Mixes {
		families = append(families, m.Family)
		for _, t := range m.Tenants {
			if !slices.Contains(tenants, t) {
				tenants = append(tenants, t)
			}
		}
		for _, k := range []targets.Kind{targets.Read, targets.Write, targets.Delete} {
			endpoints = append(endpoints, k.String()+" "+m.Family)
		}
	}
	known["endpoint"], known["tenant"] = endpoints, tenants
	if len(known["family"]) == 0 {
		known["family"] = families
	}
	return known
}
