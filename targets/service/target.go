package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/cachedrill/cachedrill/reference/key"

	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/targets"
)

// Do implements [targets.Target].
func (s *Service) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	w, err := s.worker(r)
	if err != nil {
		return targets.Reply{}, fmt.Errorf("%w: %w", targets.ErrNotApplied, err)
	}
	if s.cfg.InProcess == nil {
		return s.overHTTP(ctx, w, r)
	}
	reply, err := w.do(ctx, r)
	if errors.Is(err, source.ErrNotApplied) {
		err = fmt.Errorf("%w: %w", targets.ErrNotApplied, err)
	}
	return reply, err
}

// worker picks the worker that serves a request: the instance it names, else the workers of the
// client's region in turn.
func (s *Service) worker(r targets.Request) (*worker, error) {
	if w, ok := s.byInstance[r.Instance]; ok {
		return w, nil
	}
	if r.Instance != "" && r.Instance != targets.SourceInstance {
		return nil, fmt.Errorf("no worker is named %q", r.Instance)
	}
	reg, ok := s.byRegion[r.Region]
	if !ok {
		reg = s.regions[0]
		if r.Region != "" {
			return nil, fmt.Errorf("no region is named %q", r.Region)
		}
	}
	return reg.worker(), nil
}

// Instances implements [targets.Instanced].
func (s *Service) Instances() []string {
	var instances []string
	for _, r := range s.regions {
		for _, w := range r.workers {
			instances = append(instances, w.name)
		}
	}
	return append(instances, targets.SourceInstance)
}

// URLs gives where the workers of each region listen, once the service has started; empty ones for
// a service without HTTP.
func (s *Service) URLs() map[string][]string {
	all := map[string][]string{}
	for _, r := range s.regions {
		for _, w := range r.workers {
			all[r.name] = append(all[r.name], w.url)
		}
	}
	return all
}

// Commits implements [targets.Historian].
func (s *Service) Commits(ctx context.Context) <-chan targets.Commit { return s.commits(ctx, s.source) }

// Seed makes values for keys as they were before the first operation.
func (s *Service) Seed(_ context.Context, keys []targets.Key, run string) error {
	for _, k := range keys {
		token := targets.NewToken(run, targets.SeedSeq, k)
		v, err := s.cfg.Spec.encodeValue(key.Name(k), token)
		if err != nil {
			return err
		}
		s.source.Seed(key.Name(k), v, token)
	}
	return nil
}

// Prewarm fills each region's Redis as a long-running service would have it. The note is empty.
func (s *Service) Prewarm(ctx context.Context, keys []targets.Key) (note string, err error) {
	names := make([]key.Name, len(keys))
	for i, k := range keys {
		names[i] = key.Name(k)
	}
	for _, r := range s.regions {
		if err := r.workers[0].cache.Prewarm(ctx, names, spread); err != nil {
			return "", fmt.Errorf("region %s: %w", r.name, err)
		}
	}
	return "", nil
}

// spread is the additive recurrence with the golden ratio: even for every number of points, and
// unrelated to the order of popularity.
func spread(i int) float64 {
	const golden = 0.6180339887498949
	x := float64(i+1) * golden
	return x - float64(int64(x))
}
