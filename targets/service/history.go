package service

import (
	"context"
	"time"

	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/targets"
)

// Between two seals of the history while nothing is committed.
const sealEvery = 5 * time.Millisecond

// Commits implements [targets.Historian].
func (s *Service) Commits(ctx context.Context) <-chan targets.Commit {
	out := make(chan targets.Commit, 256)
	go func() {
		defer close(out)
		tick := time.NewTicker(sealEvery)
		defer tick.Stop()
		at := uint64(0)
		for {
			entries, now := s.source.Seal(at)
			for _, e := range entries {
				at = e.Index
				c := targets.Commit{Key: targets.Key(e.Name), Version: e.Version, Token: e.Token, Deleted: e.Deleted, At: s.offset(e.At)}
				select {
				case out <- c:
				case <-ctx.Done():
					return
				}
			}
			select {
			case out <- targets.Commit{At: s.offset(now)}:
			case <-ctx.Done():
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// OnLoad implements [targets.LoadCounter].
func (s *Service) OnLoad(f func(targets.Load)) { s.onLoad = f }

func (s *Service) loaded(l source.Load) {
	if s.onLoad == nil {
		return
	}
	s.onLoad(targets.Load{
		Key: targets.Key(l.Name), Region: l.Caller.Region, Audit: l.Caller.Audit,
		Arrived: s.offset(l.Arrived), Done: s.offset(l.Done), Version: l.Version, Check: l.Check, Width: l.Width,
		Queued: time.Duration(l.Queued), Attempt: l.Caller.Attempt, Abandoned: l.Abandoned,
	})
}
