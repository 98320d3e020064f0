package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/load"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

// changed is a change of a key and when it takes effect.
type changed struct {
	at      time.Time
	token   string
	deleted bool
	version uint64
}

// stranger is a small correct service without a cache, with one habit.
type stranger struct {
	mu      sync.Mutex
	history map[targets.Key][]changed

	later   time.Duration       // changes are made so much later than they are answered
	behind  time.Duration       // reads past the caches show what was so long ago
	promise bool                // what is later is answered as accepted
	store   func(string) string // what becomes of a value
	version func(n int) uint64  // of the n-th change of a key, from 0
	absent  func() (targets.Reply, error)
	never   bool // reads find nothing
	refuses bool // keys that are not there can't be written
}

func (s *stranger) Instances() []string { return []string{"", targets.SourceInstance} }

func (s *stranger) Close() error { return nil }

func (s *stranger) Do(_ context.Context, r targets.Request) (targets.Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.history[r.Key]
	if r.Kind.Changes() {
		if s.refuses {
			return targets.Reply{}, fmt.Errorf("%w: PUT /items/%s: 404", targets.ErrNotApplied, r.Key.ID)
		}
		c := changed{at: time.Now().Add(s.later), token: r.Token, deleted: r.Kind == targets.Delete}
		if s.store != nil {
			c.token = s.store(r.Token)
		}
		if s.version != nil {
			c.version = s.version(len(all))
		}
		s.history[r.Key] = append(all, c)
		return targets.Reply{Accepted: s.promise, Version: c.version}, nil
	}
	now := time.Now()
	if r.Instance == targets.SourceInstance {
		now = now.Add(-s.behind)
	}
	for i := len(all) - 1; i >= 0 && !s.never; i-- {
		if !all[i].at.After(now) {
			if all[i].deleted {
				break
			}
			return targets.Reply{Token: all[i].token, Version: all[i].version}, nil
		}
	}
	if s.absent != nil {
		return s.absent()
	}
	return targets.Reply{Absent: true}, nil
}

func asksAfter(t *testing.T, s *stranger, absent float64) Habits {
	t.Helper()
	s.history = map[targets.Key][]changed{}
	sc := scenarios.Scenario{Name: "strange", Target: &scenarios.GoTarget{Title: "a stranger"}}
	sc.Workload.Mixes = []load.Mix{{Family: "item", Share: 1, Keys: 10, Writes: 0.1, Deletes: 0.01, Absent: absent}}
	var h Habits
	synctest.Test(t, func(t *testing.T) {
		env, err := environment.Go(s, sc, environment.Options{})
		require.NoError(t, err)
		h, err = Qualify(t.Context(), sc, env)
		require.NoError(t, err)
	})
	return h
}

func broken(h Habits) (names []slo.Premise, all []report.Premise) {
	for _, p := range h.Premises {
		if !p.Held {
			names, all = append(names, p.Name), append(all, p)
		}
	}
	return names, all
}

func TestEachPremiseIsQualified(t *testing.T) {
	for name, c := range map[string]struct {
		*stranger
		broken []slo.Premise
		says   string
	}{
		"a plain service":             {&stranger{}, nil, ""},
		"versions from zero":          {&stranger{version: func(n int) uint64 { return uint64(n) }}, nil, ""},
		"timestamps as versions":      {&stranger{version: func(n int) uint64 { return 1_700_000_000 + uint64(n)*7 }}, nil, ""},
		"accepted, and made later":    {&stranger{later: 300 * time.Millisecond}, []slo.Premise{slo.PremiseAck}, "shown 3"},
		"accepted, as the suite says": {&stranger{later: 300 * time.Millisecond, promise: true}, nil, ""},
		"a replica behind the bypass": {&stranger{behind: 3 * time.Second}, []slo.Premise{slo.PremiseBypass}, "reads a copy behind the source"},
		"a bypass into the void":      {&stranger{behind: time.Hour}, []slo.Premise{slo.PremiseBypass}, "did not show past the caches"},
		"a store that shortens":       {&stranger{store: func(v string) string { return v[:min(len(v), 40)] }}, []slo.Premise{slo.PremiseTokens}, "came back as"},
		"a store that adds":           {&stranger{store: func(v string) string { return v + ".jpg" }}, []slo.Premise{slo.PremiseTokens}, ".jpg"},
		"versions that restart":       {&stranger{version: func(n int) uint64 { return uint64(1 + n%2) }}, []slo.Premise{slo.PremiseVersions}, "[1 2 1 2]"},
		"what is not there is null": {&stranger{absent: func() (targets.Reply, error) { return targets.Reply{}, errors.New("nothing at $.title") }},
			[]slo.Premise{slo.PremiseBypass, slo.PremiseAbsence}, "nothing at $.title"},
		"nothing is ever read": {&stranger{never: true}, []slo.Premise{slo.PremiseShown}, "a write was answered as made"},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.stranger
			h := asksAfter(t, s, 0.1)
			names, all := broken(h)
			require.Equal(t, c.broken, names, all)
			text := ""
			for _, p := range all {
				text += p.Reason()
				require.NotEmpty(t, p.Fix)
				require.NotEmpty(t, p.NeededFor)
			}
			require.Contains(t, text, c.says)
			if c.broken == nil {
				require.Less(t, h.Took, 3*time.Second)
			}
		})
	}
}

func TestAKeyThatCanNotBeMadeIsNoHabit(t *testing.T) {
	h := asksAfter(t, &stranger{refuses: true}, 0)
	require.Empty(t, h.Premises)
	require.Contains(t, strings.Join(h.Notes, "\n"), "could not be asked after before the load")
}

func TestCarefulAnswersClaimLess(t *testing.T) {
	s := stranger{later: 300 * time.Millisecond}
	h := asksAfter(t, &s, 0)
	env, err := environment.Go(&s, scenarios.Scenario{Target: &scenarios.GoTarget{}}, environment.Options{})
	require.NoError(t, err)
	k := targets.Key{Family: "item", ID: "1"}
	r, err := h.Careful(env.Target()).Do(t.Context(), targets.Request{Kind: targets.Write, Key: k, Token: targets.NewToken("run", 1, k)})
	require.NoError(t, err)
	require.True(t, r.Accepted)

	s = stranger{store: func(v string) string { return v[:min(len(v), 40)] }}
	h = asksAfter(t, &s, 0)
	env, err = environment.Go(&s, scenarios.Scenario{Target: &scenarios.GoTarget{}}, environment.Options{})
	require.NoError(t, err)
	careful := h.Careful(env.Target())
	for seq, want := range map[uint64]bool{targets.SeedSeq: false, 7: true} {
		token := targets.NewToken(h.run, seq, k)
		_, err = careful.Do(t.Context(), targets.Request{Kind: targets.Write, Key: k, Token: token})
		require.NoError(t, err)
		r, err = careful.Do(t.Context(), targets.Request{Key: k})
		require.NoError(t, err)
		require.Equal(t, want, r.Token == token, "%s", r.Token)
		require.False(t, isTorn(r.Token, h.run))
	}
}

// numbered answers every change with the same version.
type numbered struct{ environment.Target }

func (numbered) Do(_ context.Context, r targets.Request) (targets.Reply, error) {
	return targets.Reply{Version: 5}, nil
}

func TestVersionsThatTwoChangesShareCountNoMore(t *testing.T) {
	h := Habits{families: map[string]*habit{"item": {}}}
	epoch := time.Now()
	w := h.Watch(numbered{})
	do := func(kind targets.Kind, id string) uint64 {
		r, err := w.Do(t.Context(), targets.Request{Kind: kind, Key: targets.Key{Family: "item", ID: id}})
		require.NoError(t, err)
		return r.Version
	}
	require.EqualValues(t, 5, do(targets.Write, "1"))
	require.EqualValues(t, 5, do(targets.Read, "1"))
	require.EqualValues(t, 5, do(targets.Write, "2"), "versions are a key's own")
	require.Empty(t, w.Premises(nil, epoch))

	require.Zero(t, do(targets.Write, "1"))
	require.Zero(t, do(targets.Read, "2"), "of no key of the family")
	p := w.Premises(nil, epoch)[0]
	require.False(t, p.Held)
	require.NotNil(t, p.BrokenS)
	require.Contains(t, p.Seen, "two changes of item:1 were answered with the version 5")
}
