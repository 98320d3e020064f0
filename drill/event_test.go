package drill

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

// everyEvent is one of each kind, with every field set.
var everyEvent = []Event{
	PhaseBegan{At: time.Second, Phase: measure.Steady, Length: 3 * time.Second},
	FaultInjected{At: 4 * time.Second, Fault: "keys.flush{region: eu}"},
	FaultProven{At: 4100 * time.Millisecond, Fault: "keys.flush{region: eu}", Evidence: "40 keys before, 0 after"},
	FaultHealed{At: 5 * time.Second, Fault: "keys.flush{region: eu}"},
	FaultFailed{At: 5 * time.Second, Fault: "redis.kill{region: eu}", Problem: "not injected: no"},
	Window{
		At: 5500 * time.Millisecond, Length: 500 * time.Millisecond, Phase: measure.Fault, Violations: 2, Missed: 1,
		Total:    Figures{Rate: 298.5, Errors: 0.25, P50: time.Millisecond, P95: 2 * time.Millisecond, P99: 3 * time.Millisecond, SourceQPS: 12, Stale: 0.5},
		Families: map[string]Figures{"page": {Rate: 200}}, Regions: map[string]Figures{"eu": {Rate: 100}},
	},
	Accused{At: 4500 * time.Millisecond, Kind: "violation", Text: "page:1 read v3"},
	Halted{At: 6 * time.Second, Why: "errors > 50% for 500ms"},
	Ended{At: 7 * time.Second, Outcome: slo.Fail, Why: "always violations == 0 missed"},
}

func TestEventsAsJSON(t *testing.T) {
	var got strings.Builder
	for _, e := range everyEvent {
		line, err := MarshalEvent("outage", e)
		require.NoError(t, err)
		require.NotContains(t, string(line), "\n")
		got.Write(append(line, '\n'))
	}
	const file = "testdata/events.jsonl"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(file, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}

// docs/events.md names every event and every field.
func TestEventsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/events.md")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, e := range everyEvent {
		names[e.kind()] = true
		line, err := MarshalEvent("outage", e)
		require.NoError(t, err)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(line, &fields))
		for name := range fields {
			names[name] = true
		}
	}
	for name := range names {
		require.Regexp(t, regexp.MustCompile("`"+name+"`"), string(page), "docs/events.md lacks %s", name)
	}
}

// A subscriber that takes nothing loses windows, and nothing else, and learns how many from the
// next one.
func TestSlowSubscriber(t *testing.T) {
	stream := NewStream()
	slow, quick := stream.Subscribe(), stream.Subscribe()
	const extra = 7
	stream.publish(PhaseBegan{Phase: measure.Steady})
	for i := range pendingWindows + extra {
		stream.publish(Window{At: time.Duration(i)})
		stream.publish(Accused{Text: "one"})
		for range 2 {
			if _, ok := quick.Next(t.Context()); !ok {
				t.Fatal("the stream has not ended")
			}
		}
	}
	stream.Close()
	phases, accused, windows, missed := 0, 0, 0, 0
	for {
		e, ok := slow.Next(t.Context())
		if !ok {
			break
		}
		switch e := e.(type) {
		case PhaseBegan:
			phases++
		case Accused:
			accused++
		case Window:
			if windows == 0 {
				require.EqualValues(t, extra, e.At, "the oldest are dropped")
			}
			windows++
			missed += e.Missed
		}
	}
	require.Equal(t, 1, phases)
	require.Equal(t, pendingWindows+extra, accused)
	require.Equal(t, pendingWindows, windows)
	require.Equal(t, extra, missed)
}

func TestNextEndsWithItsContext(t *testing.T) {
	stream := NewStream()
	events := stream.Subscribe()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, ok := events.Next(ctx)
	require.False(t, ok)
	stream.Close()
	late := stream.Subscribe()
	_, ok = late.Next(t.Context())
	require.False(t, ok, "the stream has ended")
}

// One window is computed for everyone, by family and by region.
func TestWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := NewStream()
		events := stream.Subscribe()
		s := newSampler(scenarios.Phases{Warmup: time.Second, Steady: time.Second}, stream)
		epoch := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.run(ctx, epoch)
		}()
		synctest.Wait()
		s.begin(measure.Steady, 0)
		for i := range 100 {
			op := targets.Operation{Request: targets.Request{Key: targets.Key{Family: "page"}, Region: "eu"}, Outcome: targets.OK}
			op.Returned = time.Duration(i+1) * time.Millisecond
			if i < 25 {
				op.Outcome = targets.Failed
			}
			s.observe(&op)
		}
		s.load(targets.Load{Key: targets.Key{Family: "price"}, Region: "us"})
		time.Sleep(windowLength + windowLength/2) // moves the bubble's clock
		cancel()
		<-done
		stream.Close()
		e, _ := events.Next(t.Context())
		require.Equal(t, PhaseBegan{Phase: measure.Warmup, Length: time.Second}, e)
		e, _ = events.Next(t.Context())
		require.Equal(t, PhaseBegan{Phase: measure.Steady, Length: time.Second}, e)
		e, _ = events.Next(t.Context())
		w := e.(Window)
		require.Equal(t, windowLength, w.At)
		require.EqualValues(t, 200, w.Total.Rate)
		require.EqualValues(t, 0.25, w.Total.Errors)
		require.InDelta(t, 99e6, w.Total.P99, 2e6)
		require.EqualValues(t, 2, w.Total.SourceQPS)
		require.EqualValues(t, 200, w.Families["page"].Rate)
		require.EqualValues(t, 2, w.Families["price"].SourceQPS)
		require.EqualValues(t, 200, w.Regions["eu"].Rate)
		require.EqualValues(t, 2, w.Regions["us"].SourceQPS)
		e, _ = events.Next(t.Context())
		last := e.(Window)
		require.Equal(t, windowLength/2, last.Length, "what is left at the end")
		require.Zero(t, last.Total.Rate)
		require.Empty(t, last.Families)
	})
}
