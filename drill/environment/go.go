package environment

import (
	"fmt"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
	"github.com/cachedrill/cachedrill/targets/redis"
)

// goEnvironment is a target in this process, and the Redis that it uses, if the scenario names one.
type goEnvironment struct {
	*Base
	redis redis.Node // nil: none
}

// Go makes the environment of a drill of a target in this process, which stays the caller's to
// close. The scenario's target must be a [*scenarios.GoTarget].
func Go(target targets.Target, sc scenarios.Scenario, opt Options) (Environment, error) {
	plan, ok := sc.Target.(*scenarios.GoTarget)
	if !ok {
		return nil, fmt.Errorf("scenario %s drills %s, and not a target in this process", sc.Name, sc.Target)
	}
	e := &goEnvironment{}
	var site faults.Site
	if plan.Redis != nil {
		var err error
		if e.redis, err = plan.Redis.Open("", nil); err != nil {
			return nil, err
		}
		site = faults.Site{
			Servers:   map[string]faults.Server{scenarios.MainRedis: e.redis},
			Keys:      map[string]faults.Keys{scenarios.MainRedis: e.redis.Keys()},
			KeyPrefix: plan.Redis.KeyPrefix,
			Pattern:   func(family string) string { return plan.Redis.Keys[family] },
		}
	}
	e.Base = NewBase(target, goPreparerOf(target), site, opt)
	return e, nil
}

// Close implements [Environment]. It leaves the target alone.
func (e *goEnvironment) Close() error {
	if e.redis == nil {
		return nil
	}
	return e.redis.Close()
}
