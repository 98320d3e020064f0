package environment

import (
	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/scenarios"
)

// GoSite is what faults of package faults can touch of a target of a Go program. The caller closes it.
func GoSite(g *scenarios.Given) (site faults.Site, closes func() error, err error) {
	if g.Redis == nil {
		return faults.Site{}, func() error { return nil }, nil
	}
	server, err := openRedis(g.Redis, "")
	if err != nil {
		return faults.Site{}, nil, err
	}
	return faults.Site{
		Servers:   map[string]faults.Server{scenarios.MainRedis: server},
		Keys:      map[string]faults.Keys{scenarios.MainRedis: server.Keys()},
		KeyPrefix: g.Redis.KeyPrefix,
		Pattern:   func(family string) string { return g.Redis.Keys[family] },
	}, server.Close, nil
}
