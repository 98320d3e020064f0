package service

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/targets"
)

// worker is one process's worth of the service: a cache and its face.
type worker struct {
	name   string
	cache  Cache
	encode func(n key.Name, token string) ([]byte, error) // a value, as the source stores it
	at     net.Listener                                   // of its HTTP face, where it has one
	url    string
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

// worker finds who answers a request: workers of the client's region in turn, unless an instance is named.
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
	return reg.workers[reg.next.Add(1)%uint64(len(reg.workers))], nil
}

// Do implements [targets.Target].
func (s *Service) Do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	w, err := s.worker(r)
	if err != nil {
		return targets.Reply{}, fmt.Errorf("%w: %w", targets.ErrNotApplied, err)
	}
	if s.cfg.Inside == nil {
		return s.overHTTP(ctx, w, r)
	}
	reply, err := w.do(ctx, r)
	if errors.Is(err, source.ErrNotApplied) {
		err = fmt.Errorf("%w: %w", targets.ErrNotApplied, err)
	}
	return reply, err
}

// do serves a request without HTTP in between.
func (w *worker) do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	reply, n := targets.Reply{Worker: w.name}, key.Name(r.Key)
	if r.Kind.Changes() {
		rec, err := w.apply(ctx, r.Kind, n, r.Token)
		reply.Version, reply.Token, reply.Absent = rec.Version, r.Token, r.Kind == targets.Delete
		return reply, err
	}
	var a reference.Answer
	var err error
	if r.Instance == targets.SourceInstance {
		a, err = w.cache.GetBypass(ctx, n, true)
	} else {
		a, err = w.cache.Get(ctx, n)
	}
	if err != nil {
		return reply, err
	}
	reply.Tier, reply.Absent = string(a.Tier), a.Absent
	if a.Absent {
		return reply, nil
	}
	reply.Version = a.Version
	if reply.Token, reply.Owner, err = decodeValue(a.Value); err != nil {
		return reply, fmt.Errorf("the answer's value: %w", err)
	}
	return reply, nil
}

// apply changes a name at the source.
func (w *worker) apply(ctx context.Context, kind targets.Kind, n key.Name, token string) (source.Record, error) {
	if kind == targets.Delete {
		return w.cache.Delete(ctx, n)
	}
	v, err := w.encode(n, token)
	if err != nil {
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	return w.cache.Put(ctx, n, v, token)
}
