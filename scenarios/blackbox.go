package scenarios

import (
	"context"

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

// Doors implements [targets.Doored]: of whom there are none in a target without.
func (s stranger) Doors() []string {
	if d, ok := s.of.(targets.Doored); ok {
		return d.Doors()
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
