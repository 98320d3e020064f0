package faults

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeRelay holds events as a relay does.
type fakeRelay struct {
	deaf  bool // ignores Delay
	stuck bool // never lets go of what it holds

	mu      sync.Mutex
	by      time.Duration
	waiting []time.Time // when each was committed
	d       Delivery
}

func (r *fakeRelay) Delay(by time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deaf {
		return
	}
	r.by, r.d.MaxLag = by, 0
	if by == 0 && !r.stuck {
		for _, at := range r.waiting {
			r.deliver(at)
		}
		r.waiting = nil
	}
}

func (r *fakeRelay) deliver(committed time.Time) {
	r.d.Events++
	r.d.MaxLag = max(r.d.MaxLag, time.Since(committed))
}

func (r *fakeRelay) Delivered() Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.waiting) > 0 && !r.stuck && time.Since(r.waiting[0]) >= r.by {
		r.deliver(r.waiting[0])
		r.waiting = r.waiting[1:]
	}
	d := r.d
	d.Held = int64(len(r.waiting))
	return d
}

func (r *fakeRelay) event() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == 0 {
		r.deliver(time.Now())
		return
	}
	r.d.Delayed++
	r.waiting = append(r.waiting, time.Now())
}

func TestDelay(t *testing.T) {
	// Of the delay, 2s, or the hold, 3s: an event when, and whether that is evidence.
	tests := map[string]struct {
		fault    Fault
		events   []time.Duration // from injection
		deaf     bool
		evidence string
	}{
		"held and delivered before the heal": {
			Delay{By: 2 * time.Second, For: 3 * time.Second}, []time.Duration{100 * time.Millisecond}, false,
			"1 events held by the relays of eu, the slowest delivered 2s after its commit; all delivered by the heal"},
		"held until the heal": {
			Delay{By: 10 * time.Second, For: 3 * time.Second}, []time.Duration{time.Second, 2 * time.Second}, false,
			"2 events held by the relays of eu, the slowest delivered 2s after its commit; all delivered by the heal"},
		"only the named region": {
			Delay{By: 2 * time.Second, For: 3 * time.Second, Regions: []string{"eu"}}, []time.Duration{0}, false,
			"1 events held by the relays of eu, the slowest delivered 2s after its commit; all delivered by the heal"},
		"no event":                      {Delay{By: 2 * time.Second, For: 3 * time.Second}, nil, false, ""},
		"an event that was hardly late": {Delay{By: 2 * time.Second, For: 3 * time.Second}, []time.Duration{2900 * time.Millisecond}, false, ""},
		"a relay that delays nothing":   {Delay{By: 2 * time.Second, For: 3 * time.Second}, []time.Duration{0, time.Second}, true, ""},
		"no event in the named region":  {Delay{By: 2 * time.Second, For: 3 * time.Second, Regions: []string{"us"}}, []time.Duration{0}, false, ""},
		"a sham finds what went through": {Sham(Delay{By: 2 * time.Second, For: 3 * time.Second}), []time.Duration{0}, false,
			"sham of invalidation.delay{by: 2s, for: 3s}: 1 events through relay@eu, none held; 0 events through relay@us, none held"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eu, us := &fakeRelay{deaf: c.deaf}, &fakeRelay{deaf: c.deaf}
				eu.event() // before the fault: not held
				in, err := c.fault.Inject(t.Context(), Site{Relays: map[string]Relay{"eu": eu, "us": us}})
				require.NoError(t, err)
				require.Empty(t, in.Evidence)
				require.Equal(t, 3*time.Second, in.Hold)
				began := time.Now()
				for _, at := range c.events {
					time.Sleep(at - time.Since(began))
					_ = eu.Delivered()
					eu.event()
				}
				// The relay's own ticking.
				for time.Since(began) < in.Hold {
					time.Sleep(100 * time.Millisecond)
					_, _ = eu.Delivered(), us.Delivered()
				}
				evidence, err := in.Heal(t.Context())
				require.NoError(t, err)
				require.Equal(t, c.evidence, evidence)
				require.Zero(t, eu.Delivered().Held)
				require.Zero(t, eu.by, "nothing is delayed any more")
				again, err := in.Heal(t.Context())
				require.NoError(t, err)
				require.Equal(t, evidence, again)
			})
		})
	}
}

// An event that is late because its cache was away was not held by the delay.
func TestDelayIsNotProvenByAnotherCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRelay{}
		in, err := Delay{By: time.Second, For: time.Second}.Inject(t.Context(), Site{Relays: map[string]Relay{"eu": r}})
		require.NoError(t, err)
		committed := time.Now()
		time.Sleep(time.Second)
		r.mu.Lock()
		r.deliver(committed)
		r.mu.Unlock()
		evidence, err := in.Heal(t.Context())
		require.NoError(t, err)
		require.Empty(t, evidence)
	})
}

// A relay that held nothing is not named, and how late it was proves nothing.
func TestDelayNamesTheRelaysThatHeldEvents(t *testing.T) {
	for name, c := range map[string]struct {
		euAt     time.Duration // when eu has an event
		evidence string
	}{
		"held long":   {0, "1 events held by the relays of eu, the slowest delivered 2s after its commit; all delivered by the heal"},
		"hardly held": {1900 * time.Millisecond, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eu, us := &fakeRelay{}, &fakeRelay{}
				in, err := Delay{By: 2 * time.Second, For: 2 * time.Second}.Inject(t.Context(), Site{Relays: map[string]Relay{"eu": eu, "us": us}})
				require.NoError(t, err)
				committed := time.Now()
				time.Sleep(c.euAt)
				eu.event()
				time.Sleep(2*time.Second - c.euAt)
				us.mu.Lock()
				us.deliver(committed) // late for a reason of its own
				us.mu.Unlock()
				evidence, err := in.Heal(t.Context())
				require.NoError(t, err)
				require.Equal(t, c.evidence, evidence)
			})
		})
	}
}

// busyRelay always has another event waiting.
type busyRelay struct{ fakeRelay }

func (r *busyRelay) Delivered() Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == 0 {
		r.d.Events++
	}
	d := r.d
	d.Held = 1
	return d
}

func TestDelayHealsOnABusyRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, err := Delay{By: time.Second, For: time.Second}.Inject(t.Context(), Site{Relays: map[string]Relay{"eu": &busyRelay{}}})
		require.NoError(t, err)
		_, err = in.Heal(t.Context())
		require.NoError(t, err)
	})
}

func TestDelayHealReportsARelayThatDoesNotLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRelay{stuck: true}
		in, err := Delay{By: time.Second, For: time.Second}.Inject(t.Context(), Site{Relays: map[string]Relay{"eu": r}})
		require.NoError(t, err)
		r.event()
		time.Sleep(time.Second)
		_, err = in.Heal(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "relay@eu still holds 1 events")
		r.stuck = false
		evidence, err := in.Heal(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, evidence)
	})
}

func TestDelayRefusesWhatItCantDo(t *testing.T) {
	r := &fakeRelay{}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := map[string]struct {
		ctx   context.Context
		fault Delay
	}{
		"unknown region": {t.Context(), Delay{By: time.Second, For: time.Second, Regions: []string{"eu", "mars"}}},
		"no length":      {t.Context(), Delay{By: time.Second}},
		"cancelled":      {cancelled, Delay{By: time.Second, For: time.Second}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := c.fault.Inject(c.ctx, Site{Relays: map[string]Relay{"eu": r}})
			require.Error(t, err)
			require.Zero(t, r.by)
		})
	}
}
