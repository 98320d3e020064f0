package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/targets/redis"
)

const processYAML = `
regions: {eu: 1, us: 1}
source: {servers: 40, service_time: 1ms, write_time: 1ms}
families:
  product: {class: bounded, within: 2s, ttl: 2s, vary: [tenant]}
  price: {class: strong, ttl: 60s}
  stock: {class: strong, ttl: 60s, read_lease: 20ms}
`

var without = func(names ...string) Policy {
	p := policy.Recommended()
	for _, n := range names {
		var err error
		if p, err = p.Without(n); err != nil {
			panic(err)
		}
		p.Name += "-" + n
	}
	return Policy{Policy: p}
}

// moody is a source that can be away, and whose writes can hang.
type moody struct {
	*source.Model
	away atomic.Bool
	hang atomic.Pointer[chan struct{}]
}

var errAway = errors.New("the source is away")

func (m *moody) Clock(ctx context.Context) (int64, error) {
	if m.away.Load() {
		return 0, errAway
	}
	return m.Model.Clock(ctx)
}

func (m *moody) Store(ctx context.Context, n key.Name, value []byte, token string, by source.Caller) (source.Record, error) {
	if h := m.hang.Load(); h != nil {
		<-*h
	}
	return m.Model.Store(ctx, n, value, token, by)
}

func processOn(t *testing.T, p Policy) (*Process, *moody, redis.Node) {
	n, problems := strictyaml.Parse([]byte(processYAML))
	spec := DecodeSpec(n)
	require.Empty(t, problems.Sorted())
	node, err := redis.New(redis.Embedded, "redis@eu")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, node.Close()) })
	require.NoError(t, node.Start(t.Context()))
	began := time.Now().Add(-24 * time.Hour)
	cfg := spec.Model()
	cfg.Now = func() int64 { return int64(time.Since(began)) }
	m, err := source.NewModel(cfg)
	require.NoError(t, err)
	t.Cleanup(m.Close)
	src := &moody{Model: m}
	proc, err := NewProcess(t.Context(), ProcessConfig{Name: "eu-1", Spec: spec, Region: "eu", Policy: p, Source: src, Feed: m.Log(),
		Redis: reference.ClientConfig{Addr: node.Addr()}, Tenants: []string{"t1"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proc.Close()) })
	return proc, src, node
}

func call(t *testing.T, h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	return w
}

func TestProcessAnswers(t *testing.T) {
	p, src, node := processOn(t, without())
	h := p.Handler()
	require.Equal(t, http.StatusNoContent, call(t, h, "PUT", "/product/a%20b%2F%2Fc?tenant=t1", "w1").Code)
	for _, tier := range []string{"source", "l1"} {
		got := call(t, h, "GET", "/product/a%20b%2F%2Fc?tenant=t1", "")
		require.Equal(t, http.StatusOK, got.Code)
		require.Equal(t, tier, got.Header().Get(headTier))
		require.Contains(t, got.Body.String(), `"token":"w1"`)
	}
	require.Equal(t, http.StatusNotFound, call(t, h, "GET", "/price/1", "").Code)
	require.Equal(t, http.StatusNotFound, call(t, h, "GET", "/prise/1", "").Code)
	require.Equal(t, http.StatusBadRequest, call(t, h, "GET", "/product/1", "").Code)
	require.Equal(t, http.StatusBadRequest, call(t, h, "GET", "/price/1?tenant=t1", "").Code)
	long := call(t, h, "PUT", "/price/1", strings.Repeat("x", mostToken+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, long.Code)
	require.Equal(t, "1", long.Header().Get(headNotApplied))
	require.Equal(t, http.StatusOK, call(t, h, "GET", "/healthz", "").Code)
	scraped := call(t, h, "GET", "/metrics", "").Body.String()
	for _, series := range []string{`cachedrill_reads_total{family="product",region="eu",tier="l1"} 1`,
		`cachedrill_policy_info{policy="recommended",region="eu"} 1`, "go_goroutines "} {
		require.True(t, strings.Contains(scraped, "\n"+series), series)
	}

	require.Equal(t, http.StatusOK, call(t, h, "GET", "/readyz", "").Code)
	require.NoError(t, node.Stop(t.Context()))
	got := call(t, h, "GET", "/readyz", "")
	require.Equal(t, http.StatusOK, got.Code, "the cache works without Redis")
	require.NotContains(t, got.Body.String(), `"redis":"ok"`)
	require.Equal(t, http.StatusOK, call(t, h, "GET", "/product/a%20b%2F%2Fc?tenant=t1", "").Code)
	src.away.Store(true)
	got = call(t, h, "GET", "/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, got.Code)
	require.Contains(t, got.Body.String(), errAway.Error())
	src.away.Store(false)
	require.Equal(t, http.StatusOK, call(t, h, "GET", "/readyz", "").Code)
	p.Drain()
	got = call(t, h, "GET", "/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, got.Code)
	require.Contains(t, got.Body.String(), "about to end")
	require.Equal(t, http.StatusOK, call(t, h, "GET", "/healthz", "").Code)
}

// While policies are switched, a strong family stays linearizable: no read is older than what was
// acknowledged before it began.
func TestSwitchingBreaksNoPromise(t *testing.T) {
	p, _, _ := processOn(t, without())
	c := switchable{p}
	policies := []Policy{without("l1"), without("jitter"), without("fill-lease", "single-flight"), without()}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	var reads, writes atomic.Int64
	failed := make(chan string, 100)
	for _, n := range []key.Name{{Family: "price", ID: "1"}, {Family: "stock", ID: "1"}} {
		var acked atomic.Uint64
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				r, err := c.Put(t.Context(), n, []byte("v"), fmt.Sprint(i))
				if err != nil {
					failed <- "write: " + err.Error()
					return
				}
				acked.Store(r.Version)
				writes.Add(1)
			}
		})
		for range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					least := acked.Load()
					a, err := c.Get(t.Context(), n)
					switch {
					case err != nil:
						failed <- "read: " + err.Error()
						return
					case a.Version < least:
						failed <- fmt.Sprintf("%s: read version %d after %d was acknowledged", n.Family, a.Version, least)
						return
					}
					reads.Add(1)
				}
			})
		}
	}
	for i := range 40 {
		require.NoError(t, p.SwitchPolicy(t.Context(), policies[i%len(policies)]))
		r, w := reads.Load()+20, writes.Load()+1
		require.Eventually(t, func() bool { return reads.Load() >= r && writes.Load() >= w || len(failed) > 0 }, 30*time.Second, time.Millisecond)
	}
	stop()
	wg.Wait()
	select {
	case why := <-failed:
		t.Fatal(why)
	default:
	}
	require.Positive(t, reads.Load())
	require.Positive(t, writes.Load())
}

func TestSwitchIsRefusedWhereItWouldBreakAPromise(t *testing.T) {
	p, _, _ := processOn(t, without())
	for _, to := range []Policy{{Policy: policy.Naive()}, without("fence"), without("class-routing"),
		{Policy: policy.Recommended(), Design: Design{Cache: func(context.Context, reference.Config) (Cache, error) { return nil, nil }}}} {
		require.ErrorIs(t, p.SwitchPolicy(t.Context(), to), ErrSwitch)
		require.Equal(t, "recommended", p.Policy().Name)
	}
}

// A write that hangs holds up a switch, not for ever, and nothing else: after it writes go on.
func TestSwitchWaitsForWrites(t *testing.T) {
	p, src, _ := processOn(t, without())
	c, n := switchable{p}, key.Name{Family: "price", ID: "1"}
	hang := make(chan struct{})
	src.hang.Store(&hang)
	done := make(chan error, 1)
	go func() {
		_, err := c.Put(t.Context(), n, nil, "slow")
		done <- err
	}()
	require.Eventually(t, func() bool {
		p.writes.mu.Lock()
		defer p.writes.mu.Unlock()
		return p.writes.users == 1
	}, 10*time.Second, time.Millisecond)
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, p.SwitchPolicy(short, without("jitter")), "the policy stays recommended")
	src.hang.Store(nil)
	_, err := c.Put(t.Context(), n, nil, "quick")
	require.NoError(t, err)
	close(hang)
	require.NoError(t, <-done)
	require.NoError(t, p.SwitchPolicy(t.Context(), without("jitter")))
	require.Equal(t, "recommended-jitter", p.Policy().Name)
}

func TestAdmin(t *testing.T) {
	p, _, _ := processOn(t, without())
	find := func(name string) (Policy, error) {
		switch name {
		case "calm":
			return without("jitter"), nil
		case "naive":
			return Policy{Policy: policy.Naive()}, nil
		}
		return Policy{}, errors.New("there is no such policy")
	}
	h := p.Admin(find, []string{"calm", "naive"})
	require.JSONEq(t, `{"policy":"recommended","previous":"recommended","known":["calm","naive"]}`, call(t, h, "GET", "/policy", "").Body.String())
	require.Contains(t, call(t, h, "POST", "/policy?name=calm", "").Body.String(), `"policy":"recommended-jitter","previous":"recommended"`)
	require.Equal(t, http.StatusConflict, call(t, h, "POST", "/policy?name=naive", "").Code)
	require.Equal(t, http.StatusNotFound, call(t, h, "POST", "/policy?name=clam", "").Code)
	require.Equal(t, http.StatusBadRequest, call(t, h, "POST", "/policy", "").Code)
	require.Equal(t, http.StatusMethodNotAllowed, call(t, h, "DELETE", "/policy", "").Code)
	require.Contains(t, call(t, h, "POST", "/policy?rollback=1", "").Body.String(), `"policy":"recommended","previous":"recommended-jitter"`)

	foreign := httptest.NewRequest("POST", "/policy?"+url.Values{"name": {"calm"}}.Encode(), nil)
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, foreign)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Equal(t, "recommended", p.Policy().Name)
}
