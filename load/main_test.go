package load

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/targets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// does is a target made of a function.
type does func(context.Context, targets.Request) (targets.Reply, error)

func (f does) Do(ctx context.Context, r targets.Request) (targets.Reply, error) { return f(ctx, r) }
func (does) Close() error                                                       { return nil }

// record is a sink that keeps everything, and complains about what isn't an operation's life.
type record struct {
	t     *testing.T
	mu    sync.Mutex
	begun map[uint64]targets.Operation
	ended map[uint64]targets.Operation
}

func newRecord(t *testing.T) *record {
	return &record{t: t, begun: map[uint64]targets.Operation{}, ended: map[uint64]targets.Operation{}}
}

func (r *record) Begin(op targets.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, twice := r.begun[op.Seq]; twice {
		r.t.Errorf("operation %d began twice", op.Seq)
	}
	if op.Sent < op.Due || op.Returned != 0 || op.Err != nil {
		r.t.Errorf("operation begins with due %v, sent %v, returned %v, error %v", op.Due, op.Sent, op.Returned, op.Err)
	}
	r.begun[op.Seq] = op
}

func (r *record) End(op targets.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begun, ok := r.begun[op.Seq]
	if _, twice := r.ended[op.Seq]; !ok || twice {
		r.t.Errorf("operation %d ended (twice: %v) although begun: %v", op.Seq, twice, ok)
	}
	if op.Request != begun.Request || op.Sent != begun.Sent || op.Due != begun.Due || op.Returned < op.Sent {
		r.t.Errorf("operation began as %+v and ended as %+v", begun, op)
	}
	r.ended[op.Seq] = op
}

// whole says that every Begin had its End.
func (r *record) whole() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(r.t, r.ended, len(r.begun))
}

func (r *record) latencies() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]time.Duration, 0, len(r.ended))
	for _, op := range r.ended {
		all = append(all, op.Latency())
	}
	return all
}

func constant(t *testing.T, rate float64, total time.Duration) Schedule {
	t.Helper()
	s, err := NewSchedule([]Step{{Rate: rate}}, total)
	require.NoError(t, err)
	return s
}

// shop is a workload with two families, two regions and some writes.
func shop(seed uint64, run string) Workload {
	return Workload{
		Seed: seed, Run: run, Regions: []string{"eu", "us"}, Sessions: 10,
		Mixes: []Mix{
			{Family: "product", Share: 0.8, Keys: 1000, Zipf: 1.1, Writes: 0.1, Tenants: []string{"t1", "t2", "t3"}, Locales: []string{"de", "en"}},
			{Family: "price", Share: 0.2, Keys: 50, Writes: 0.5, Tenants: []string{"t1", "t2", "t3"}, Currencies: []string{"EUR", "USD"}},
		},
	}
}

func generator(t *testing.T, w Workload) *Generator {
	t.Helper()
	g, err := NewGenerator(w)
	require.NoError(t, err)
	return g
}
