package patience

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var errBusy = errors.New("busy")

// All who share a pace wait when one of them is asked to, and no longer.
func TestAllWaitForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pace Pace
		began, asked := time.Now(), atomic.Int64{}
		done := make(chan time.Duration)
		for range 10 {
			go func() {
				err := pace.Do(t.Context(), func() error {
					if asked.Add(1); time.Since(began) < 3*time.Second {
						return &Error{3 * time.Second, errBusy}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				done <- time.Since(began)
			}()
		}
		for range 10 {
			require.Equal(t, 3*time.Second, <-done)
		}
		require.Equal(t, 3*time.Second, pace.Waited(), "not ten times as long")
		require.LessOrEqual(t, asked.Load(), int64(20))
		require.Contains(t, pace.Note("it"), "waited 3s")
		require.Empty(t, new(Pace).Note("it"))
	})
}

// Other errors go through at once; patience and contexts end.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := Pace{Most: 5 * time.Second}
		require.ErrorIs(t, pace.Do(t.Context(), func() error { return errBusy }), errBusy)
		began := time.Now()
		err := pace.Do(t.Context(), func() error { return &Error{2 * time.Second, errBusy} })
		require.ErrorIs(t, err, errBusy)
		require.ErrorContains(t, err, "it asks to wait 2s, and was waited for 4s already, of at most 5s")
		require.Equal(t, 4*time.Second, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, (&Pace{}).Do(ctx, func() error { return &Error{time.Minute, errBusy} }))
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}
