package scenarios

import (
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/report/slo"
)

// A plan can be too short for its objectives: no answer of a drill of 26 s is older than 30 s, and
// an objective that allows 30 s can't be missed in it. Such a drill can run, and of the objective
// it shows nothing. And there are objectives about which nothing in the suite could tell.

// shownHold is for how long a drill must see more than the limit that is to be missed.
const shownHold = time.Second

// Unshown says why nothing in the plan could show that an objective is missed, and which length
// would do; "" when something could.
func (sc Scenario) Unshown(g slo.Group, o slo.Objective) string {
	if why, hint := sc.unshown(g, o); why != "" {
		return "not judged: " + why + "; " + hint
	}
	return ""
}

func (sc *Scenario) unshown(g slo.Group, o slo.Objective) (why, hint string) {
	w, limit := sc.window(g), time.Duration(o.Limit.Value*float64(time.Second))
	switch {
	case o.Metric == "violations":
		return sc.unshownPromises(w, g, o)
	case !o.Op.Upper() || w.length() <= 0:
	case o.Metric == "staleness.max" || o.Metric == "staleness.p99":
		if beyond := limit - w.to; beyond >= 0 {
			return fmt.Sprintf("the %s ends %v after the first write, and no answer in it can be older", w.named(g), w.to),
				lengthen(w, w.length()+beyond+shownHold, sc)
		}
	case o.Definition().Needs.Samples == slo.SampleCommit && o.Labels["tier"] == "":
		if beyond := limit - (sc.Phases.Total() - w.from); beyond >= 0 {
			return fmt.Sprintf("the drill ends %v after the first write that counts, and no lag can be longer", sc.Phases.Total()-w.from),
				fmt.Sprintf("write phases: {recovery: %v} or more", tenths(sc.Phases.Recovery+beyond+shownHold))
		}
	}
	return "", ""
}

// named names the window in a reason.
func (w window) named(g slo.Group) string {
	if g == slo.GroupAlways {
		return "load"
	}
	return w.phase + " phase"
}

func tenths(d time.Duration) time.Duration {
	const grain = 100 * time.Millisecond
	return (d + grain - 1) / grain * grain
}

// unshownPromises says why a drill can't show that any of the families breaks its class. What a
// fault leaves behind is older than a bound only when the drill goes on for longer than that after
// it; without a fault the whole drill counts.
func (sc *Scenario) unshownPromises(w window, g slo.Group, o slo.Objective) (why, hint string) {
	for _, m := range sc.Workload.Mixes {
		f, _ := sc.Target.Family(m.Family)
		if !promises(f, m) || !fits(o.Labels["family"], m.Family) || !fits(o.Labels["class"], f.Class) {
			continue
		}
		familyWhy, familyHint := sc.unshownPromise(f, w, g)
		if familyWhy == "" {
			return "", ""
		}
		if why == "" {
			why, hint = familyWhy, familyHint
		}
	}
	return why, hint
}

// promises reports whether a family promises something that a drill of the mix could show broken.
func promises(f Family, m load.Mix) bool { return f.Class != "" && m.Writes+m.Deletes > 0 }

func (sc *Scenario) unshownPromise(f Family, w window, g slo.Group) (why, hint string) {
	bound := f.Within
	if f.Class == "strong" || w.length() <= 0 {
		return "", ""
	}
	after := sc.window(slo.GroupRecovery)
	switch {
	case sc.broken() && g != slo.GroupSteady && g != slo.GroupFault:
		if bound >= after.length() {
			return fmt.Sprintf("%s may answer what is %v old, and the drill ends %v after its fault: what the fault leaves behind can't be shown to be older",
				f.Name, bound, after.length()), lengthen(after, bound+shownHold, sc)
		}
	case bound >= w.to:
		return fmt.Sprintf("%s may answer what is %v old, and the %s ends %v after the first write: no answer in it can be older",
			f.Name, bound, w.named(g), w.to), lengthen(w, w.length()+bound-w.to+shownHold, sc)
	}
	return "", ""
}

// broken reports whether anything is broken in the drill.
func (sc *Scenario) broken() bool {
	for _, p := range sc.Faults {
		if faults.Perturbs(p.Fault) {
			return true
		}
	}
	return false
}

// UnshownClasses says of each family, where others can be judged, why the drill can't show that it
// breaks its class.
func (sc Scenario) UnshownClasses() []string {
	always := sc.window(slo.GroupAlways)
	if all, _ := sc.unshownPromises(always, slo.GroupAlways, slo.Objective{}); all != "" {
		return nil // the objective says so itself
	}
	var out []string
	for _, p := range sc.unshownFamilies() {
		out = append(out, "not judged: "+p[0]+"; "+p[1])
	}
	return out
}

// unshownFamilies gives reason and hint for each family whose class the drill can't show broken.
func (sc *Scenario) unshownFamilies() (all [][2]string) {
	for _, m := range sc.Workload.Mixes {
		f, _ := sc.Target.Family(m.Family)
		if !promises(f, m) {
			continue
		}
		if why, hint := sc.unshownPromise(f, sc.window(slo.GroupAlways), slo.GroupAlways); why != "" {
			all = append(all, [2]string{why, hint})
		}
	}
	return all
}

// doubtClasses notes the classes that the drill can't show broken: they hold in every drill, and
// nobody wrote an objective that the doubt could stand at.
func (sc *Scenario) doubtClasses(e strictyaml.Entry) {
	for _, p := range sc.unshownFamilies() {
		e.Key.Doubt(e.Name, p[0], p[1])
	}
}

// doubt notes an objective that can't be missed in the plan, or that nothing can judge.
func (sc *Scenario) doubt(o placedObjective) {
	why, hint := sc.untellable(o.Objective)
	if why == "" && o.Objective.Metric != "violations" { // of classes see doubtClasses
		why, hint = sc.unshown(o.Group, o.Objective)
	}
	if limit := time.Duration(o.Objective.Limit.Value * float64(time.Second)); why == "" && o.Objective.Definition().Needs.Latency &&
		o.Objective.Op.Upper() && limit > sc.Workload.Timeout {
		why, hint = fmt.Sprintf("no operation takes longer than the client's patience of %v", sc.Workload.Timeout),
			fmt.Sprintf("a limit up to %v, or timeout: %v", sc.Workload.Timeout, limit+shownHold)
	}
	if why != "" {
		o.at.Doubt("", why, hint)
	}
}

// untellable says why an objective that the suite asks for stays unknown in every drill of it.
func (sc *Scenario) untellable(o slo.Objective) (why, hint string) {
	var written, siblings, promised, tells bool
	first := ""
	http, isHTTP := sc.Target.(*HTTPTarget)
	for _, m := range sc.Workload.Mixes {
		f, _ := sc.Target.Family(m.Family)
		if !fits(o.Labels["family"], m.Family) || !fits(o.Labels["class"], f.Class) {
			continue
		}
		if first == "" {
			first = m.Family
		}
		written = written || m.Writes+m.Deletes > 0
		siblings, promised = siblings || Siblings(m), promised || f.Class != ""
		tells = tells || isHTTP && http.Service.TellsTier(m.Family)
	}
	if first == "" {
		return "", "" // reported elsewhere
	}
	write := "mix: {" + first + ": {writes: 2%}}"
	switch o.Metric {
	case "lost_writes", "rollbacks":
		switch {
		case !written:
			return "nothing is written, so that nothing can be lost: it stays unknown", write
		case isHTTP && !tells && !http.Service.PastCaches():
			return "no request goes past the caches, so that nothing can tell what is lost: it stays unknown",
				`target: {http: {bypass: {GET: "/products/{key}?fresh=1"}}}, a read that no cache answers; or leave it out`
		}
	case "leaks":
		if !siblings {
			return "there are no two tenants, locales or currencies whose values could be mixed up: it stays unknown",
				"workload: {tenants: 3}, with {tenant} in the requests; or leave it out"
		}
	case "violations":
		if !promised {
			return "no family promises anything that could be violated: it stays unknown", "families: {" + first + ": {class: bounded, within: 2s, ttl: 2s}}"
		}
		if !written {
			return "nothing is written, so that no answer can be stale: it stays unknown", write
		}
	case "stale", "stale.proven", "staleness.p99", "staleness.max", "stale_incidents":
		if !written {
			return "nothing is written, so that no answer can be stale: it stays unknown", write
		}
	}
	return "", ""
}

// Siblings reports whether a family of the mix has keys that a mix-up could confuse with each
// other.
func Siblings(m load.Mix) bool {
	return m.Keys > 1 && max(len(m.Tenants), len(m.Locales), len(m.Currencies)) > 1
}
