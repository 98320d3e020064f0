package origin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cachedrill/cachedrill/targets"
)

var errEnough = errors.New("enough")

// wire carries requests to a handler without a network, and takes its time each way.
type wire struct {
	to          http.Handler
	there, back func() time.Duration
	cut         int // bytes of the next answer that arrive, when it isn't 0
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.there != nil {
		time.Sleep(w.there())
	}
	rec := httptest.NewRecorder()
	w.to.ServeHTTP(rec, r)
	if w.back != nil {
		time.Sleep(w.back())
	}
	res := rec.Result()
	if w.cut > 0 {
		res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(rec.Body.Bytes()[:w.cut]), broken{}))
		w.cut = 0
	}
	return res, r.Context().Err()
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func client(t *testing.T, epoch time.Time, w *wire) *Client {
	c, err := NewClient("http://origin.test/", epoch, nil)
	require.NoError(t, err)
	c.http.Transport = w
	return c
}

// The times that a client tells are within the bound that it tells, however lopsided the network
// is.
func TestClientTellsTimesWithinItsBound(t *testing.T) {
	for name, delays := range map[string][2]time.Duration{
		"at once":    {0, 0},
		"slow there": {300 * time.Millisecond, 0},
		"slow back":  {0, 300 * time.Millisecond},
		"both":       {40 * time.Millisecond, 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				epoch := time.Now()
				time.Sleep(time.Hour)
				o := usual(t, func(c *Config) { c.ServiceTime = 20 * time.Millisecond })
				ahead := epoch.Sub(o.start)
				c := client(t, epoch, &wire{to: o.Admin(),
					there: func() time.Duration { return delays[0] }, back: func() time.Duration { return delays[1] }})
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				defer wg.Wait()
				defer cancel()
				wg.Go(func() {
					for ctx.Err() == nil {
						do(t.Context(), o, "PUT", "/a", "x")
						do(t.Context(), o, "GET", "/a", "")
						time.Sleep(70 * time.Millisecond)
					}
				})
				half := (delays[0] + delays[1]) / 2
				seen := 0
				err := c.Loads(ctx, func(b Batch[SeenLoad]) error {
					require.LessOrEqual(t, b.Within, half+2*time.Millisecond, "it is a bound of use")
					_, all := listed[Load](t, o, "loads")
					for _, l := range b.Events {
						exact := all[seen]
						require.InDelta(t, time.Duration(exact.Arrived)-ahead, l.Arrived, float64(b.Within))
						require.InDelta(t, time.Duration(exact.Done)-ahead, l.Done, float64(b.Within))
						require.Equal(t, l.Load.Version, exact.Version)
						require.Equal(t, "/a", l.Path)
						seen++
					}
					for _, l := range all[seen:] {
						require.Greater(t, time.Duration(l.Done)-ahead, b.Through, "a later batch happened later")
					}
					if seen > 20 {
						return errEnough
					}
					return nil
				})
				require.ErrorIs(t, err, errEnough)
				commits := 0
				err = c.Commits(ctx, func(b Batch[SeenCommit]) error {
					_, all := listed[Commit](t, o, "commits")
					for _, e := range b.Events {
						require.InDelta(t, time.Duration(all[commits].At)-ahead, e.At, float64(b.Within))
						require.EqualValues(t, commits+1, e.Version)
						require.Equal(t, "x", *e.Body)
						commits++
					}
					return errEnough
				})
				require.ErrorIs(t, err, errEnough)
				require.GreaterOrEqual(t, commits, 20)
			})
		})
	}
}

// The bound holds for clocks that drift, and any delays.
func TestClockBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := 1 + rapid.Float64Range(-drift, drift).Draw(t, "rate")
		offset := rapid.Int64Range(-1e15, 1e15).Draw(t, "offset")
		theirs := func(at time.Duration) int64 { return offset + int64(rate*float64(at)) }
		span := rapid.Int64Range(0, int64(2*time.Second))
		var c clock
		at := time.Duration(0)
		for range rapid.IntRange(1, 20).Draw(t, "exchanges") {
			at += time.Duration(span.Draw(t, "pause"))
			sent := at
			came := sent + time.Duration(span.Draw(t, "there"))
			went := came + time.Duration(span.Draw(t, "wait"))
			at = went + time.Duration(span.Draw(t, "back"))
			c.see(sent, theirs(came), theirs(went), at, "o")
			m := c.mapping()
			off := m.at(theirs(at)) - at
			if max(off, -off) > m.within+2 { // rounding
				t.Fatalf("off by %v, with a bound of %v", off, m.within)
			}
			if m.within > (at-sent)/2+2*time.Duration(drift*float64(at-sent))+2 {
				t.Fatalf("within %v after an exchange of %v", m.within, at-sent)
			}
		}
	})
}

// A slow exchange does not loosen what a quick one showed just before.
func TestClockKeepsItsBestBound(t *testing.T) {
	var c clock
	c.see(0, 1000, 1000, 100, "o")
	c.see(1e6, 1e6+5e5+1000, 1e6+5e5+1000, 2e6, "o")
	require.Less(t, c.mapping().within, 2*time.Microsecond, "50 ns, and what clocks drift apart in 2 ms")
}

// A clock that stood still (a machine that was suspended) voids what was known of it.
func TestClockThatStoodStill(t *testing.T) {
	var c clock
	c.see(0, 1000, 1000, 10, "o")
	c.see(1e9, 2000, 2000, 1e9+10, "o")
	m := c.mapping()
	require.InDelta(t, 1e9, m.at(2000), float64(m.within))

	c = clock{}
	c.see(0, 1000, 1000, 2000, "o")
	c.see(3000, 5500, 5500, 7000, "another")
	require.GreaterOrEqual(t, c.mapping().within, 2000*time.Nanosecond, "what was known of another's clock says nothing of this one")
}

func TestClientSaysWhatItMissed(t *testing.T) {
	o := usual(t, func(c *Config) { c.Keep = 3 })
	for range 10 {
		do(t.Context(), o, "GET", "/a", "", "If-None-Match", `"x"`)
	}
	w := &wire{to: o.Admin(), cut: 250}
	c := client(t, time.Now(), w)
	batches := 0
	err := c.Loads(t.Context(), func(Batch[SeenLoad]) error { batches++; return nil })
	require.ErrorContains(t, err, "broke off")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Zero(t, batches, "a part of an answer is none")

	err = c.Loads(t.Context(), func(b Batch[SeenLoad]) error {
		require.EqualValues(t, 7, b.Missed)
		require.Len(t, b.Events, 3)
		require.Equal(t, 404, b.Events[0].Status)
		require.True(t, b.Events[0].Conditional)
		require.Equal(t, 1, b.Events[0].Width)
		batches++
		if batches == 1 {
			return errEnough
		}
		return nil
	})
	require.ErrorIs(t, err, errEnough)
	require.Equal(t, 1, batches)

	err = c.Loads(t.Context(), func(b Batch[SeenLoad]) error { return errEnough }) // what was not taken is sent again
	require.ErrorIs(t, err, errEnough)
	require.Zero(t, c.loads.since)
	require.ErrorIs(t, c.Loads(t.Context(), func(b Batch[SeenLoad]) error {
		if b.Missed == 0 {
			return errEnough
		}
		do(t.Context(), o, "GET", "/a", "")
		return nil
	}), errEnough)
	require.EqualValues(t, 10, c.loads.since)

	for _, others := range []int{1, 20} { // fewer loads than are known, and more
		w.to = usual(t, nil).Admin()
		other := usual(t, nil)
		for range others {
			do(t.Context(), other, "GET", "/a", "")
		}
		w.to = other.Admin()
		require.ErrorIs(t, c.Loads(t.Context(), func(Batch[SeenLoad]) error { t.Error("a batch"); return errEnough }), ErrRestarted)
	}
}

func TestClientTellsWhatLoadsWere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := usual(t, func(c *Config) { c.Servers, c.ServiceTime = 1, time.Second })
		do(t.Context(), o, "PUT", "/a", strings.Repeat("x", 300))
		var wg sync.WaitGroup
		for _, method := range []string{"GET", "HEAD", "GET"} {
			wg.Go(func() { do(t.Context(), o, method, "/a", "") })
			synctest.Wait()
		}
		do(t.Context(), o, "GET", "/a", "", AuditHeader, "1")
		wg.Wait()
		do(t.Context(), o, "DELETE", "/a", "")
		c := client(t, o.start, &wire{to: o.Admin()})
		require.ErrorIs(t, c.Loads(t.Context(), func(b Batch[SeenLoad]) error {
			require.Len(t, b.Events, 4)
			for i, want := range []SeenLoad{
				{Load: targets.Load{Version: 1, Audit: true}, Path: "/a", Status: 200},
				{Load: targets.Load{Version: 1, Width: 1}, Path: "/a", Status: 200},
				{Load: targets.Load{Version: 1, Check: true, Queued: time.Second}, Path: "/a", Status: 200},
				{Load: targets.Load{Version: 1, Width: 2, Queued: 2 * time.Second}, Path: "/a", Status: 200},
			} {
				have := b.Events[i]
				have.Arrived, have.Done = 0, 0
				require.Equal(t, want, have)
			}
			return errEnough
		}), errEnough)
		require.ErrorIs(t, c.Commits(t.Context(), func(b Batch[SeenCommit]) error {
			require.Len(t, b.Events, 2)
			require.Equal(t, 300, b.Events[0].Size)
			require.Len(t, b.Events[0].SHA256, 64)
			require.Nil(t, b.Events[0].Body)
			require.Equal(t, targets.Commit{Version: 2, Deleted: true, At: b.Events[1].At}, b.Events[1].Commit)
			return errEnough
		}), errEnough)
	})
}

// Over a real connection: it waits for news, and ends with its context.
func TestClientOverHTTP(t *testing.T) {
	epoch := time.Now()
	o := usual(t, nil)
	s := httptest.NewServer(o.Admin())
	defer s.Close()
	c, err := NewClient(s.URL, epoch, nil)
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan SeenLoad)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Loads(ctx, func(b Batch[SeenLoad]) error {
			for _, l := range b.Events {
				if d := l.Done - time.Duration(o.loads.kept[0].Done) + epoch.Sub(o.start); max(d, -d) > b.Within {
					t.Errorf("off by %v, within %v", d, b.Within)
				}
				seen <- l
			}
			return nil
		})
	}()
	do(t.Context(), o, "GET", "/a?b=c", "")
	require.Equal(t, "/a?b=c", (<-seen).Path)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)

	s.Close()
	err = c.Loads(t.Context(), nil)
	require.ErrorContains(t, err, "following the loads of the origin at "+s.URL)
	for _, bad := range []string{"", "127.0.0.1:9001", "ftp://x", "http://"} {
		_, err := NewClient(bad, epoch, nil)
		require.ErrorContains(t, err, "as in http://127.0.0.1:9001")
	}
}
