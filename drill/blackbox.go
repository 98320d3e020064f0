package drill

import (
	"context"
	"sync"

	"github.com/cachedrill/cachedrill/targets"
)

// stranger shows of a target what a service shows to those who know nothing of its inside: values and their
// owners. It tells no versions, no history, and no loads.
type stranger struct{ of targets.Target }

// Do implements [targets.Target].
func (s stranger) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	reply, err := s.of.Do(ctx, r)
	reply.Version = 0
	return reply, err
}

// Close implements [targets.Target].
func (s stranger) Close() error { return s.of.Close() }

// Instances implements [targets.Instanced]: of whom there are none in a target without.
func (s stranger) Instances() []string {
	if d, ok := s.of.(targets.Instanced); ok {
		return d.Instances()
	}
	return []string{""}
}

// Settle waits until what was written has reached everybody, if the target can say.
func (s stranger) Settle(ctx context.Context) error {
	if t, ok := s.of.(settler); ok {
		return t.Settle(ctx)
	}
	return nil
}

// versioned lets the versions that reads answer through once a write of their family has told its own. Versions that only reads tell
// leave acknowledged writes without a place among them: hardly anything could be proven then, and tokens alone say more.
type versioned struct {
	targets.Target
	families sync.Map // by name: a write has told its version
}

// Do implements [targets.Target].
func (v *versioned) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	reply, err := v.Target.Do(ctx, r)
	if err != nil || reply.Version == 0 {
		return reply, err
	}
	if r.Kind.Changes() {
		v.families.Store(r.Key.Family, true)
	} else if _, told := v.families.Load(r.Key.Family); !told {
		reply.Version = 0
	}
	return reply, nil
}
