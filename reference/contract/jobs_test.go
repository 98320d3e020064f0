package contract

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/reference/key"
)

func TestMain(m *testing.M) {
	redistest.Main()
	goleak.VerifyTestMain(m)
}

// slowCache takes its time for a load, and remembers when each began.
type slowCache struct {
	takes time.Duration
	fails func(n key.Name) error

	mu      sync.Mutex
	began   []time.Time
	inside  int
	most    int
	renewed bool
}

func (c *slowCache) Warm(ctx context.Context, n key.Name, renew bool) error {
	c.mu.Lock()
	c.began, c.inside, c.renewed = append(c.began, time.Now()), c.inside+1, renew
	c.most = max(c.most, c.inside)
	c.mu.Unlock()
	defer func() { c.mu.Lock(); c.inside--; c.mu.Unlock() }()
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.fails != nil {
		return c.fails(n)
	}
	return nil
}

func products(n int) func(Job) iter.Seq[key.Name] {
	return func(j Job) iter.Seq[key.Name] {
		return func(yield func(key.Name) bool) {
			for i := range n {
				if !yield(key.Name{Family: j.Family, ID: fmt.Sprint(i)}) {
					return
				}
			}
		}
	}
}

func TestJobsKeepTheirBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slowCache{takes: 50 * time.Millisecond}
		r := &Runner{Cache: c, Names: products(40)}
		j := Job{Name: "j", Kind: WarmUp, Family: "product", Rate: 20, For: 10 * time.Second}

		run := r.Once(t.Context(), j)
		require.Equal(t, 40, run.Loaded)
		require.Empty(t, run.Problem)
		require.Equal(t, 39*50*time.Millisecond+50*time.Millisecond, run.Took)
		require.False(t, c.renewed)
		for i := range c.began[1:] {
			require.Equal(t, 50*time.Millisecond, c.began[i+1].Sub(c.began[i]))
		}

		j.For = time.Second
		for takes, loaded := range map[time.Duration]int{40 * time.Millisecond: 20, 2 * time.Second: 0} { // loads under way are cut, too
			c.takes = takes
			run = r.Once(t.Context(), j)
			require.Equal(t, "the budget of 20 loads/s for 1s ended it before it was through", run.Problem)
			require.Equal(t, loaded, run.Loaded)
			require.Zero(t, run.Failed)
			require.LessOrEqual(t, run.Took, time.Second)
		}

		c.takes, c.most = 5*time.Second, 0
		j.Rate, j.For = 1000, time.Minute
		require.Empty(t, r.Once(t.Context(), j).Problem)
		require.Equal(t, atOnce, c.most, "a slow source gets no more than so many at once")
	})
}

func TestFailedRunsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed []Run
		c := &slowCache{takes: time.Millisecond, fails: func(n key.Name) error {
			if n.ID == "3" {
				return errors.New("the source is away")
			}
			return nil
		}}
		r := &Runner{Cache: c, Names: products(10), Alert: func(run Run) { failed = append(failed, run) }, Contract: Contract{Jobs: []Job{
			{Name: "cold", Kind: WarmUp, Family: "product", Rate: 100, For: time.Minute},
		}}}
		r.Run(t.Context())
		require.Len(t, failed, 1)
		require.Equal(t, "warm-up cold of product: 9 loaded in 91ms: 1 failed, the first with: the source is away", failed[0].String())
	})
}

func TestRefreshesComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slowCache{takes: time.Millisecond}
		r := &Runner{Cache: c, Names: products(3), Alert: func(run Run) { t.Error(run) }, Contract: Contract{Jobs: []Job{
			{Name: "hot", Kind: Refresh, Family: "product", Every: time.Minute, Rate: 100, For: time.Second},
		}}}
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute+time.Second)
		defer stop()
		r.Run(ctx)
		require.Len(t, c.began, 15)
		require.True(t, c.renewed)
	})
}

// Stopping the jobs in the middle of one causes no problem, and nothing goes on.
func TestStoppedJobsAreQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slowCache{takes: time.Second}
		r := &Runner{Cache: c, Names: products(1000), Alert: func(run Run) { t.Error(run) }, Contract: Contract{Jobs: []Job{
			{Name: "cold", Kind: WarmUp, Family: "product", Rate: 10, For: time.Hour},
		}}}
		ctx, stop := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer stop()
		began := time.Now()
		r.Run(ctx)
		require.Equal(t, 3500*time.Millisecond, time.Since(began))
		require.Zero(t, c.inside)
	})
}
