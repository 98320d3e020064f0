package reality

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/policy"
)

// All times are on the harness's one monotonic clock, taken outside of the operations. No clock of
// a server is evidence.

// realWrite is a change that was asked for. Until it has ended, to is 0.
type realWrite struct {
	name     string
	token    string // "" deletes
	region   string
	from, to time.Duration
	outcome  outcome
	version  uint64 // of one that was acknowledged
}

type outcome uint8

const (
	underWay outcome = iota
	acked
	refused // guaranteed to have no effect
	unknown
)

// realRead is a read that was answered. One that failed is none.
type realRead struct {
	name     string
	worker   string
	from, to time.Duration
	version  uint64
	token    string // that the value bears
	absent   bool
	damaged  bool // the value is not what its token says
	tier     string
	final    bool // asked after everything was healed, and had time
}

// realCommit is a version as PostgreSQL tells it; versions of a name are dense, from 1.
type realCommit struct {
	version uint64
	token   string
	deleted bool
	origin  string
}

// account is what is judged.
type account struct {
	classes map[string]policy.Family // by family
	writes  []realWrite
	reads   []realRead
	commits map[string][]realCommit // by name, in the order of versions
	seen    time.Duration           // the harness had read of commits[name][:known[name]] by then; 0: it had not
	known   map[string]int
	healed  time.Duration // 0: not yet
}

func familyOf(name string) string { family, _, _ := strings.Cut(name, ":"); return family }

// span bounds when a version was committed: not before from, and not after to.
type span struct{ from, to time.Duration }

const never = time.Duration(1<<63 - 1)

// verdict is what came of judging.
type verdict struct {
	broken map[string][]string // by family, and "lost write", "corruption", "false rejection", "order"
	worst  map[string]time.Duration
	// chances are the reads of a family that began when a newer version than one that a cache could
	// hold had been there for less than the family's horizon; cached are those of them that a cache
	// answered.
	chances, cached map[string]int
	unknown, landed int // writes without an answer, and those of them that were committed
}

func (v *verdict) accuse(what, format string, args ...any) {
	v.broken[what] = append(v.broken[what], fmt.Sprintf(format, args...))
}

// horizon is for how long after a commit a read counts as one that could have been wrong.
func horizon(f policy.Family) time.Duration {
	if f.Class == policy.Bounded {
		return 2 * f.Within
	}
	return 500 * time.Millisecond
}

const realRateError = 2e-3 // twice what the cache is allowed, for its clock and for ours

// judge says what is proven wrong. It accuses of nothing that could be explained by the unknown
// moment of a commit.
func judge(a account) *verdict {
	v := &verdict{broken: map[string][]string{}, worst: map[string]time.Duration{}, chances: map[string]int{}, cached: map[string]int{}}
	spans := v.commitTimes(a)
	for _, r := range a.reads {
		v.read(a, r, spans[r.name])
	}
	return v
}

func (v *verdict) commitTimes(a account) map[string][]span {
	asked := map[string]*realWrite{}              // by token
	deletes := map[string][]*realWrite{}          // by name: those without an answer
	deleted := map[string]map[uint64]*realWrite{} // by name and version
	for i := range a.writes {
		w := &a.writes[i]
		if w.token != "" {
			asked[w.token] = w
		}
		switch {
		case w.outcome == unknown:
			v.unknown++
			if w.token == "" {
				deletes[w.name] = append(deletes[w.name], w)
			}
		case w.outcome == underWay && w.token == "":
			deletes[w.name] = append(deletes[w.name], w)
		case w.outcome == acked && w.token == "":
			if deleted[w.name] == nil {
				deleted[w.name] = map[uint64]*realWrite{}
			}
			if other := deleted[w.name][w.version]; other != nil {
				v.accuse("order", "two deletes of %s were acknowledged as version %d", w.name, w.version)
			}
			deleted[w.name][w.version] = w
		}
		if w.outcome != acked {
			continue
		}
		of := a.commits[w.name]
		if w.version == 0 || w.version > uint64(len(of)) || of[w.version-1].token != w.token || of[w.version-1].deleted != (w.token == "") {
			v.accuse("lost write", "%+v is not in the history", *w)
		}
	}
	spans := map[string][]span{}
	times := map[string]int{}
	for name, of := range a.commits {
		s := make([]span, len(of))
		untold := map[string]int{} // deletes that no worker heard of, by region
		for i, c := range of {
			s[i] = span{0, never}
			var by *realWrite
			if c.deleted {
				by = deleted[name][c.version]
				if by == nil { // one of those without an answer
					var first *realWrite
					unanswered := 0
					for _, d := range deletes[name] {
						if d.region != c.origin {
							continue
						}
						unanswered++
						if first == nil || d.from < first.from {
							first = d
						}
					}
					if untold[c.origin]++; untold[c.origin] > unanswered {
						v.accuse("corruption", "%s version %d is a delete without a request", name, c.version)
					} else {
						s[i].from = first.from
					}
				}
			} else if by = asked[c.token]; by == nil || by.name != name {
				v.accuse("corruption", "%s version %d has the token %q, which was never written there", name, c.version, c.token)
				by = nil
			}
			if c.token != "" {
				if times[c.token]++; times[c.token] > 1 {
					v.accuse("corruption", "%q was committed more than once", c.token)
				}
			}
			if by == nil {
				continue
			}
			s[i].from = by.from
			switch by.outcome {
			case acked:
				if by.version == c.version {
					s[i].to = by.to
				}
			case refused:
				v.accuse("false rejection", "%+v was committed as version %d", *by, c.version)
			case unknown:
				v.landed++
			}
		}
		if a.seen > 0 {
			for i := range min(a.known[name], len(of)) {
				s[i].to = min(s[i].to, a.seen)
			}
		}
		spans[name] = s
	}
	for _, r := range a.reads { // what was answered had been committed
		if of := a.commits[r.name]; r.version > 0 && r.sane(of) {
			if s := &spans[r.name][r.version-1]; r.to >= s.from { // else it is no evidence of anything but itself
				s.to = min(s.to, r.to)
			}
		}
	}
	for name, s := range spans {
		for i := 1; i < len(s); i++ {
			s[i].from = max(s[i].from, s[i-1].from)
		}
		for i := len(s) - 2; i >= 0; i-- {
			s[i].to = min(s[i].to, s[i+1].to)
		}
		for i := range s {
			if s[i].from > s[i].to {
				v.accuse("order", "%s version %d was there by %v, and it or one before it was not asked for before %v", name, i+1, s[i].to, s[i].from)
				break
			}
		}
	}
	return spans
}

// sane says whether a read's answer is its version's.
func (r realRead) sane(of []realCommit) bool {
	switch {
	case r.version > uint64(len(of)), r.damaged:
		return false
	case r.version == 0:
		return r.absent
	}
	c := of[r.version-1]
	return c.deleted == r.absent && (r.absent || c.token == r.token)
}

func (v *verdict) read(a account, r realRead, s []span) {
	family := familyOf(r.name)
	f := a.classes[family]
	if !r.sane(a.commits[r.name]) {
		v.accuse("corruption", "%+v is not what was committed", r)
		return
	}
	if r.version > 0 && r.to < s[r.version-1].from {
		v.accuse("corruption", "%+v was answered before it was asked for, at %v", r, s[r.version-1].from)
		return
	}
	// The newest version that was certainly there when the read began.
	newest, _ := slices.BinarySearchFunc(s, r.from, func(s span, at time.Duration) int {
		if s.to < at {
			return -1
		}
		return 1
	})
	if newest > 0 && r.from-s[newest-1].to < horizon(f) {
		v.chances[family]++
		if r.tier == "l1" || r.tier == "l2" {
			v.cached[family]++
		}
	}
	if int(r.version) >= len(s) || s[r.version].to >= r.from {
		return
	}
	since := s[r.version].to
	old := r.from - since
	v.worst[family] = max(v.worst[family], old)
	switch {
	case f.Class == policy.Strong:
		v.accuse(family, "%+v began %v after version %d was there", r, old, r.version+1)
	case f.Class == policy.Bounded && float64(old) > float64(f.Within)*(1+realRateError):
		v.accuse(family, "%+v began %v after version %d was there; the bound is %v", r, old, r.version+1, f.Within)
	case f.Class == policy.Eventual && r.final && a.healed > 0 && r.from-max(since, a.healed) > min(f.Converges(), convergeMost):
		v.accuse(family, "%+v began %v after version %d was there, %v after all was healed", r, old, r.version+1, r.from-a.healed)
	}
}

// Where only what is heard makes a copy end, it is to be heard within that time after all was
// healed and delivered.
const convergeMost = 5 * time.Second

// The judge accuses of what is proven, and of nothing else.
func TestRealityJudge(t *testing.T) {
	classes := map[string]policy.Family{
		"strong":   {Class: policy.Strong, TTL: time.Second},
		"bounded":  {Class: policy.Bounded, Within: 100, TTL: 100},
		"eventual": {Class: policy.Eventual, TTL: time.Second},
	}
	// Times are nanoseconds. write and read lines: "w name token from to outcome version", "r name
	// token version from to".
	for _, c := range []struct {
		what, history, ops, breaks string
	}{
		{"fresh", "a b", "w a 0 10 ack 1|w b 20 30 ack 2|r b 2 40 50", ""},
		{"before the ack", "a b", "w a 0 10 ack 1|w b 20 30 ack 2|r a 1 30 50", ""},
		{"after the ack", "a b", "w a 0 10 ack 1|w b 20 30 ack 2|r a 1 31 50", "family"},
		{"after another has seen it", "a b", "w a 0 10 ack 1|w b 20 90 unknown 0|r b 2 22 30|r a 1 31 50", "family"},
		{"while another sees it", "a b", "w a 0 10 ack 1|w b 20 90 unknown 0|r b 2 22 32|r a 1 31 50", ""},
		{"after a later version", "a b c", "w a 0 10 ack 1|w b 20 900 unknown 0|w c 20 30 ack 3|r a 1 31 50", "family"},
		{"unknown, and never seen", "a b", "w a 0 10 ack 1|w b 20 30 unknown 0|r a 1 500 600", ""},
		{"absent after the first", "a", "w a 0 10 ack 1|r - 0 11 12", "family"},
		{"absent before the first", "a", "w a 0 10 ack 1|r - 0 9 12", ""},
		{"lost", "a", "w a 0 10 ack 1|w b 20 30 ack 2", "lost write"},
		{"another version", "b a", "w a 0 10 ack 1|w b 0 30 ack 1", "lost write"},
		{"never committed", "a", "w a 0 10 ack 1|r b 2 20 30", "corruption"},
		{"wrong token", "a b", "w a 0 10 ack 1|w b 0 10 ack 2|r a 2 20 30", "corruption"},
		{"from the future", "a", "w a 20 30 ack 1|r a 1 0 10", "corruption"},
		{"refused, and there", "a", "w a 0 10 refused 0", "false rejection"},
		{"foreign", "x", "w a 0 10 unknown 0", "corruption"},
		{"twice", "a a", "w a 0 10 unknown 0", "corruption"},
		{"against the order of time", "b a", "w a 0 10 ack 2|w b 20 30 ack 1", "order"},
		{"a delete without an answer", "a -", "w a 0 10 ack 1|w - 20 90 unknown 0|r - 2 22 30|r a 1 31 40", "family"},
		{"a delete without a request", "a -", "w a 0 10 ack 1", "corruption"},
		{"two deletes for one", "a - -", "w a 0 10 ack 1|w - 20 90 unknown 0", "corruption"},
		{"unanswered is no loss", "a", "w a 0 10 ack 1|w b 20 30 unknown 0", ""},
	} {
		for family, bound := range map[string]int{"strong": 0, "bounded": 100, "eventual": -1} {
			a := account{classes: classes, commits: map[string][]realCommit{}}
			name := family + ":1"
			for i, token := range strings.Fields(c.history) {
				a.commits[name] = append(a.commits[name], realCommit{uint64(i + 1), strings.Trim(token, "-"), token == "-", "eu"})
			}
			number := func(s string) int { n, err := strconv.Atoi(s); require.NoError(t, err); return n }
			for _, line := range strings.Split(c.ops, "|") {
				f := strings.Fields(line)
				token := strings.Trim(f[1], "-")
				if f[0] == "w" {
					a.writes = append(a.writes, realWrite{name, token, "eu", time.Duration(number(f[2])), time.Duration(number(f[3])),
						map[string]outcome{"ack": acked, "refused": refused, "unknown": unknown}[f[4]], uint64(number(f[5]))})
					continue
				}
				from, to := number(f[3]), number(f[4])
				if bound > 0 && from > 30 { // as much later as the bound is
					from, to = from+bound, to+bound
				}
				a.reads = append(a.reads, realRead{name: name, version: uint64(number(f[2])), token: token, absent: token == "",
					from: time.Duration(from), to: time.Duration(to)})
			}
			want := map[string]bool{}
			if c.breaks != "" && c.breaks != "family" {
				want[c.breaks] = true
			}
			if c.breaks == "family" && (family == "strong" || bound > 0 && c.what != "absent after the first") {
				want[family] = true
			}
			got := map[string]bool{}
			broken := judge(a).broken
			for what := range broken {
				got[what] = true
			}
			require.Equal(t, want, got, "%s, %s: %v", c.what, family, broken)
		}
	}
}
