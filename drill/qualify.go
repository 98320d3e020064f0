package drill

import (
	"context"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/drill/preflight"
)

// qualify asks after the premises of the verdict, between the preparations and the load. A target
// with a history of its own is known, and in virtual time there are no strangers.
func qualify(ctx context.Context, p *plan, env environment.Environment, opt Options) (preflight.Habits, error) {
	can := env.Capabilities()
	if !opt.Qualify && (can.History || can.VirtualTime) {
		return preflight.Habits{}, nil
	}
	return preflight.Qualify(ctx, p.scenario, env)
}
