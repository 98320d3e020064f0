package reality

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults/proxy"
	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/source/postgres"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/targets/redis"
	"github.com/cachedrill/cachedrill/tests/program"
)

// realFamilies are one of each promise. The bound of the brief one is shorter than a load may take.
// Of the lasting one nothing ends a copy but what is heard.
var realFamilies = map[string]policy.Family{
	"bounded":  {Class: policy.Bounded, Within: 250 * time.Millisecond, TTL: 250 * time.Millisecond},
	"brief":    {Class: policy.Bounded, Within: 60 * time.Millisecond, TTL: 60 * time.Millisecond},
	"strong":   {Class: policy.Strong, TTL: 2 * time.Second},
	"leased":   {Class: policy.Strong, TTL: time.Second, ReadLease: 150 * time.Millisecond},
	"eventual": {Class: policy.Eventual, TTL: time.Second},
	"lasting":  {Class: policy.Eventual, TTL: time.Hour},
}

var realOrder = []string{"bounded", "brief", "strong", "leased", "eventual", "lasting"}

const (
	realRate    = 300 // operations a second
	realHot     = 3   // names of each family that most operations are on
	realCold    = 40
	realAtOnce  = 48 // operations under way at a worker; what is due beyond is left out
	realConns   = 6  // of a worker to PostgreSQL, for its workload
	dialPatient = 2  // seconds
)

// reality is two regions of two workers each, on Redis servers and a PostgreSQL of their own, with
// proxies in between.
type reality struct {
	seed    uint64
	policy  policy.Policy
	start   time.Time
	cluster *pgtest.Cluster
	direct  string // URL of the database, past all proxies
	regions []*realRegion
	workers []*realWorker
	proxies []*proxy.Fleet
	audit   *pgx.ConnConfig

	mu       sync.Mutex
	writes   []*realWrite
	reads    []realRead
	asked    []realAsked
	withheld int // operations that were due while too many were under way
	problems []string
	heard    time.Duration // after all was healed and delivered, until the last worker knew it of a lasting family
}

// realAsked is an operation as the table of faults counts it.
type realAsked struct {
	worker   int
	change   bool
	from, to time.Duration
	ended    outcome // acked: it was answered
	deep     bool    // no tier had it
}

type realRegion struct {
	name    string
	node    redis.Node
	bus     wire // of the relay to Redis
	client  *goredis.Client
	log     *postgres.Source // of the relay, past all proxies
	workers []*realWorker

	mu    sync.Mutex
	relay *invalidation.Relay
	stop  func()
}

type realWorker struct {
	number        int
	name          string
	region        *realRegion
	toRedis, toPG wire
	atOnce        chan struct{}
	mu            sync.Mutex
	cache         *reference.Cache // nil: it is away
	end           func()
}

func (w *reality) now() time.Duration { return time.Since(w.start) }

// problem notes what makes a run no proof, though it is no broken promise.
func (w *reality) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf("%v: ", w.now().Round(time.Millisecond))+fmt.Sprintf(format, args...))
}

// newReality starts everything. It all ends with the test.
func newReality(t *testing.T, p policy.Policy, seed uint64) *reality {
	t.Helper()
	w := &reality{seed: seed, policy: p, start: time.Now()}
	var err error
	w.cluster, err = pgtest.Start()
	if errors.Is(err, pgtest.ErrMissing) && !program.InCI() {
		t.Skip("skipped: " + err.Error())
	}
	require.NoError(t, err)
	t.Cleanup(w.cluster.Close)
	w.direct = w.cluster.URL()
	w.audit, err = pgx.ParseConfig(w.direct)
	require.NoError(t, err)
	for _, name := range []string{"eu", "us"} {
		r := &realRegion{name: name}
		w.regions = append(w.regions, r)
		r.node, err = redis.New(redis.Process, "redis@"+name)
		require.NoError(t, err)
		t.Cleanup(func() { _ = r.node.Close() })
		require.NoError(t, r.node.Start(t.Context()))
		r.bus = w.newWires(t, "relay of "+name, "relay to redis of "+name, r.node.Addr())[0]
		r.client = reference.NewClient(r.bus.Listen(), p)
		t.Cleanup(func() { _ = r.client.Close() })
		r.log, err = postgres.Open(t.Context(), postgres.Config{URL: w.direct + "&connect_timeout=" + fmt.Sprint(dialPatient)})
		require.NoError(t, err)
		t.Cleanup(r.log.Close)
		t.Cleanup(r.relayOff)
		for i := range 2 {
			c := &realWorker{number: len(w.workers), name: fmt.Sprintf("%s-%d", name, i+1), region: r, atOnce: make(chan struct{}, realAtOnce)}
			wires := w.newWires(t, "worker "+c.name, c.name+" to redis", r.node.Addr(), c.name+" to postgres", hostOf(t, w.direct))
			c.toRedis, c.toPG = wires[0], wires[1]
			t.Cleanup(c.leave)
			r.workers, w.workers = append(r.workers, c), append(w.workers, c)
		}
	}
	for _, r := range w.regions {
		w.relayOn(r)
	}
	for _, c := range w.workers {
		require.NoError(t, w.begin(t.Context(), c))
	}
	return w
}

func hostOf(t *testing.T, raw string) string {
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u.Host
}

func (w *reality) families() (all []reference.Family) {
	for _, name := range realOrder {
		all = append(all, reference.Family{Schema: key.Schema{Family: name, Version: 1}, Contract: realFamilies[name]})
	}
	return all
}

// begin starts a worker, with nothing in its memory and no connections.
func (w *reality) begin(ctx context.Context, c *realWorker) error {
	via, err := url.Parse(w.direct)
	if err != nil {
		return err
	}
	via.Host = c.toPG.Listen()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	source, err := postgres.Open(ctx, postgres.Config{URL: fmt.Sprintf("%s&pool_max_conns=%d&connect_timeout=%d", via, realConns, dialPatient)})
	if err != nil {
		return err
	}
	client := reference.NewClient(c.toRedis.Listen(), w.policy)
	cache, err := reference.New(ctx, reference.Config{Region: c.region.name, Policy: w.policy, Families: w.families(),
		Source: source, Shared: store.NewRedis(client)})
	if err != nil {
		source.Close()
		_ = client.Close()
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache = cache
	c.end = func() {
		cache.Close()
		source.Close()
		_ = client.Close()
	}
	return nil
}

// leave ends a worker as an orderly shutdown does, while it may be asked.
func (c *realWorker) leave() {
	c.mu.Lock()
	end := c.end
	c.cache, c.end = nil, nil
	c.mu.Unlock()
	if end != nil {
		end()
	}
}

func (c *realWorker) current() *reference.Cache {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cache
}

// relayOn starts a region's relay, which begins with the first commit there ever was.
func (w *reality) relayOn(r *realRegion) {
	into := reference.NewInvalidator(w.policy, w.families(), store.NewRedis(r.client))
	relay := invalidation.NewRelay(invalidation.Config{Region: r.name, Log: r.log, Now: func() int64 { return time.Now().UnixNano() },
		Deliver: func(ctx context.Context, e invalidation.Event) error { return into.Apply(ctx, e.Name, e.Version, e.At) }})
	peers := map[string]invalidation.Peer{}
	for _, other := range w.regions {
		if other != r {
			peers[other.name] = realPeer{other}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var both sync.WaitGroup
	both.Go(func() { into.Heartbeat(ctx) })
	both.Go(func() { _ = relay.Run(ctx, peers) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.relay, r.stop = relay, func() { cancel(); both.Wait() }
}

func (r *realRegion) relayOff() {
	r.mu.Lock()
	stop := r.stop
	r.relay, r.stop = nil, nil
	r.mu.Unlock()
	if stop != nil {
		stop()
	}
}

type realPeer struct{ of *realRegion }

var errNoRelay = errors.New("the relay is away")

func (p realPeer) Pull(ctx context.Context, after uint64) (uint64, []invalidation.Event, error) {
	p.of.mu.Lock()
	relay := p.of.relay
	p.of.mu.Unlock()
	if relay == nil {
		return 0, nil, errNoRelay
	}
	return relay.Pull(ctx, after)
}

func (p realPeer) Close() {}

// load asks until ctx ends, then waits for what is under way. What is asked is drawn from the seed;
// when one thing takes long the others don't wait for it.
func (w *reality) load(ctx context.Context) {
	rng := rand.New(rand.NewPCG(w.seed, 1))
	var under sync.WaitGroup
	defer under.Wait()
	began := time.Now()
	for i := 0; ; i++ {
		if left := time.Until(began.Add(time.Duration(i) * time.Second / realRate)); left > 0 {
			select {
			case <-time.After(left):
			case <-ctx.Done():
			}
		} else if left < -time.Second { // the machine was elsewhere: no burst
			began = began.Add(-left)
		}
		if ctx.Err() != nil {
			return
		}
		family := realOrder[rng.IntN(len(realOrder))]
		id := min(rng.IntN(realHot), rng.IntN(realHot)) // the first is the hottest
		if rng.IntN(100) < 15 {
			id = realHot + rng.IntN(realCold)
		}
		n := key.Name{Family: family, ID: fmt.Sprint(id)}
		c := w.workers[rng.IntN(len(w.workers))]
		kind, share := rng.IntN(100), 16
		patience := time.Duration(60+rng.IntN(1400)) * time.Millisecond
		pad := 0
		if rng.IntN(20) == 0 {
			pad = 6000
		}
		if family == "leased" {
			share, patience = 8, patience+300*time.Millisecond
		}
		// A reader that hears of a write by its writer looks for it at another worker: where
		// something older is allowed, when it is no more.
		echo, later := w.workers[rng.IntN(len(w.workers))], time.Duration(0)
		if f := realFamilies[family]; f.Class == policy.Bounded {
			later = time.Duration(float64(f.Within) * (1.01 + 0.5*rng.Float64()))
		}
		token := fmt.Sprintf("%d-%d-%d", w.seed, i, pad)
		select {
		case c.atOnce <- struct{}{}:
		default:
			w.mu.Lock()
			w.withheld++
			w.mu.Unlock()
			continue
		}
		under.Go(func() {
			defer func() { <-c.atOnce }()
			own, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			switch {
			case kind >= share:
				w.read(own, c, n, false)
			case kind == 0, kind == 1:
				w.write(own, c, n, "")
			default:
				w.write(own, c, n, token)
			}
			if kind < share {
				time.Sleep(later)
				own, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				w.read(own, echo, n, false)
			}
		})
	}
}

func nameOf(n key.Name) string { return n.Family + ":" + n.ID }

// valueOf is a token's value, which tells when it was damaged.
func valueOf(token string) []byte {
	var number, op, pad int
	_, _ = fmt.Sscanf(token, "%d-%d-%d", &number, &op, &pad)
	return []byte(token + " " + strings.Repeat("x", pad))
}

func (w *reality) read(ctx context.Context, c *realWorker, n key.Name, final bool) (version uint64, ok bool) {
	cache := c.current()
	if cache == nil {
		return 0, false
	}
	from := w.now()
	a, err := cache.Get(ctx, n)
	to := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	done := realAsked{worker: c.number, from: from, to: to, ended: unknown}
	if err == nil {
		token, _, _ := strings.Cut(string(a.Value), " ")
		w.reads = append(w.reads, realRead{name: nameOf(n), worker: c.name, from: from, to: to, version: a.Version, token: token,
			absent: a.Absent, damaged: !a.Absent && string(valueOf(token)) != string(a.Value), tier: string(a.Tier), final: final})
		done.ended, done.deep = acked, a.Tier == reference.TierSource
	}
	w.asked = append(w.asked, done)
	return a.Version, err == nil
}

// write stores a token's value; "" deletes.
func (w *reality) write(ctx context.Context, c *realWorker, n key.Name, token string) {
	cache := c.current()
	if cache == nil {
		return
	}
	o := &realWrite{name: nameOf(n), token: token, region: c.region.name}
	w.mu.Lock()
	o.from = w.now()
	w.writes = append(w.writes, o)
	w.mu.Unlock()
	version, outcome := change(ctx, cache, n, token)
	to := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	o.to, o.version, o.outcome = to, version, outcome
	w.asked = append(w.asked, realAsked{worker: c.number, change: true, from: o.from, to: to, ended: outcome})
}

// change says unknown of every error that promises nothing.
func change(ctx context.Context, cache *reference.Cache, n key.Name, token string) (version uint64, ended outcome) {
	var rec source.Record
	var err error
	if token == "" {
		rec, err = cache.Delete(ctx, n)
	} else {
		rec, err = cache.Put(ctx, n, valueOf(token), token)
	}
	switch {
	case err == nil:
		return rec.Version, acked
	case errors.Is(err, source.ErrNotApplied):
		return 0, refused
	}
	return 0, unknown
}

// history reads every commit, past all proxies. What a reader or a writer heard before it was
// called is in it.
func (w *reality) history(ctx context.Context) (map[string][]realCommit, error) {
	conn, err := pgx.ConnectConfig(ctx, w.audit)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(ctx, "SELECT family || ':' || id, version, token, deleted, origin FROM cachedrill.outbox ORDER BY family, id, version")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string][]realCommit{}
	for rows.Next() {
		var name string
		var c realCommit
		if err := rows.Scan(&name, &c.version, &c.token, &c.deleted, &c.origin); err != nil {
			return nil, err
		}
		if c.version != uint64(len(all[name]))+1 {
			return nil, fmt.Errorf("%w: %s has a version %d after %d", errHistory, name, c.version, len(all[name]))
		}
		all[name] = append(all[name], c)
	}
	return all, rows.Err()
}

var errHistory = errors.New("versions are not dense")

// rows holds the source's rows to its history.
func (w *reality) rows(ctx context.Context, commits map[string][]realCommit) error {
	conn, err := pgx.ConnectConfig(ctx, w.audit)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(ctx, "SELECT family || ':' || id, version, token, deleted, coalesce(convert_from(value, 'UTF8'), '') FROM cachedrill.entry WHERE version > 0")
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var name, value string
		var c realCommit
		if err := rows.Scan(&name, &c.version, &c.token, &c.deleted, &value); err != nil {
			return err
		}
		of := commits[name]
		if int(c.version) != len(of) || of[c.version-1].token != c.token || of[c.version-1].deleted != c.deleted || !c.deleted && value != string(valueOf(c.token)) {
			return fmt.Errorf("the row of %s, %+v, is not that of its newest version", name, c)
		}
	}
	if n != len(commits) {
		return fmt.Errorf("%d rows, and %d names in the history", n, len(commits))
	}
	return rows.Err()
}

// account takes what is known by now. It fails while PostgreSQL is away. What was answered before
// the history was read must be in it; of what was asked for since, nothing is known but that.
func (w *reality) account(ctx context.Context) (account, error) {
	a := account{classes: realFamilies}
	w.mu.Lock()
	for _, o := range w.writes {
		a.writes = append(a.writes, *o)
	}
	a.reads = w.reads[:len(w.reads):len(w.reads)]
	w.mu.Unlock()
	var err error
	a.commits, err = w.history(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.writes[len(a.writes):] {
		a.writes = append(a.writes, realWrite{name: o.name, token: o.token, region: o.region, from: o.from})
	}
	return a, err
}
