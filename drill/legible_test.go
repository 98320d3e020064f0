package drill

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/oracle"
	"github.com/cachedrill/cachedrill/report/verdict"
	"github.com/cachedrill/cachedrill/targets"
)

// The fault lasts from 10 s to 20 s. What a service answers while it gets by, also for a while
// after the heal, is no corruption; what stays unreadable when everything else is well again, is
// one.
func TestKeysThatAFaultMadeUnreadable(t *testing.T) {
	odd := fmt.Errorf("%w: token: no JSON", targets.ErrUnreadable)
	down := fmt.Errorf("503")
	type read struct {
		id   string
		at   int // seconds
		err  error
		tier string
	}
	well := func(id string, at int) read { return read{id, at, nil, targets.TierL2} }
	fault := []verdict.FaultRun{{Name: "network.slicer", Injected: 10 * time.Second, Healed: 20 * time.Second}}
	for name, c := range map[string]struct {
		reads []read
		runs  []verdict.FaultRun
		want  int
	}{
		"unreadable to the end, others are well": {[]read{well("1", 5), {"1", 12, odd, ""}, {"1", 21, odd, ""}, well("2", 22), {"1", 23, odd, ""}}, fault, 1},
		"another came back":                      {[]read{well("1", 5), well("2", 5), {"2", 15, down, ""}, {"1", 21, odd, ""}, {"3", 22, odd, ""}, well("2", 22), {"1", 23, odd, ""}}, fault, 1},
		"the source answers again":               {[]read{well("1", 5), {"1", 21, odd, ""}, {"3", 22, down, ""}, {"4", 22, nil, targets.TierSource}, {"1", 23, odd, ""}}, fault, 1},
		"two keys":                               {[]read{well("1", 5), well("2", 5), {"1", 21, odd, ""}, {"2", 21, odd, ""}, {"4", 22, nil, targets.TierSource}, {"1", 23, odd, ""}, {"2", 23, odd, ""}}, fault, 2},

		"once after the heal":                     {[]read{well("1", 5), {"1", 12, odd, ""}, {"1", 21, odd, ""}, well("2", 22)}, fault, 0},
		"readable again":                          {[]read{well("1", 5), {"1", 21, odd, ""}, {"1", 22, odd, ""}, well("1", 23), well("2", 23)}, fault, 0},
		"never readable before":                   {[]read{{"1", 5, odd, ""}, {"1", 21, odd, ""}, {"1", 23, odd, ""}, well("2", 23)}, fault, 0},
		"first read during the fault":             {[]read{well("1", 11), {"1", 21, odd, ""}, {"1", 23, odd, ""}, well("2", 23)}, fault, 0},
		"failed, and not unreadable":              {[]read{well("1", 5), {"1", 21, down, ""}, {"1", 23, down, ""}, well("2", 23)}, fault, 0},
		"a way to get by for all that was missed": {[]read{well("1", 5), well("2", 5), {"1", 21, odd, ""}, {"2", 21, odd, ""}, well("3", 22), {"1", 23, odd, ""}, {"2", 23, odd, ""}}, fault, 0},
		"another family is well":                  {[]read{well("1", 5), {"1", 21, odd, ""}, {"2", 21, down, ""}, {"1", 23, odd, ""}}, fault, 0},
		"nothing was broken": {[]read{well("1", 5), {"1", 21, odd, ""}, {"1", 23, odd, ""}, well("2", 23)},
			[]verdict.FaultRun{{Name: "sham{for: 10s}", Injected: 10 * time.Second, Healed: 20 * time.Second}}, 0},
		"not healed": {[]read{well("1", 5), {"1", 21, odd, ""}, {"1", 23, odd, ""}, well("2", 23)}, []verdict.FaultRun{{Name: "network.slicer", Injected: 10 * time.Second}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLegibility()
			for i, r := range c.reads {
				at := time.Duration(r.at) * time.Second
				op := targets.Operation{Request: targets.Request{Seq: uint64(i), Key: targets.Key{Family: "page", ID: r.id}}, Sent: at, Returned: at + time.Millisecond,
					Err: r.err, Reply: targets.Reply{Tier: r.tier}}
				l.end(&op)
			}
			var f oracle.Findings
			l.accuse(&f, c.runs, map[string]string{"page": "bounded"})
			require.Equal(t, c.want, f.Corruptions)
			require.Len(t, f.Accusations, c.want)
			for _, a := range f.Accusations {
				require.Equal(t, "corruption", a.Kind)
				require.Equal(t, "bounded", a.Class)
				require.Contains(t, a.Text, "could be read before the fault, and is unreadable to the end after it was healed: at 21.000s, and again at 23.000s: the answer can't be understood: token: no JSON")
				require.Len(t, a.History, 2)
			}
		})
	}
	var none *legibility
	none.end(&targets.Operation{})
	none.accuse(&oracle.Findings{}, fault, nil)
}
