package environment

import (
	"context"
	"fmt"

	"github.com/cachedrill/cachedrill/scenarios"
)

// New makes the environment that fits the scenario's target, which must not be a
// [*scenarios.GoTarget]. It is an [Open].
func New(ctx context.Context, sc scenarios.Scenario, opt Options) (Environment, error) {
	switch sc.Target.(type) {
	case scenarios.ReferenceTarget:
		return Reference(ctx, sc, opt)
	case *scenarios.HTTPTarget:
		return HTTP(ctx, sc, opt)
	}
	return nil, fmt.Errorf("scenario %s drills %s, which only its own program can make", sc.Name, sc.Target)
}
