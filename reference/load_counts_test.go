package reference

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// What the acceptance of the load counts asks for: 256 readers, 4 workers, 2 processes.
const (
	countProcesses = 2
	countWorkers   = 2  // a process
	countReaders   = 64 // a worker
	countKeys      = 500
)

var counted = Family{
	Schema:   key.Schema{Family: "counted", Version: 1},
	Contract: policy.Family{Class: policy.Bounded, Within: 5 * time.Minute, TTL: 5 * time.Minute},
}

func countedName(id string) key.Name { return key.Name{Family: "counted", ID: id} }

// countingSource is the source of truth in the parent process. It counts the loads of each name as
// they arrive. Each load finds a new version, so that a reader can tell one load's answer from the
// next one's.
type countingSource struct {
	model *source.Model
	http  *httptest.Server
	mu    sync.Mutex
	loads map[string]int
}

func newCountingSource(t *testing.T, load time.Duration) *countingSource {
	began := time.Now()
	m, err := source.NewModel(source.ModelConfig{Servers: 1024, ServiceTime: load, Now: func() int64 { return int64(time.Since(began)) }})
	require.NoError(t, err)
	s := &countingSource{model: m, loads: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/clock", func(w http.ResponseWriter, r *http.Request) {
		now, _ := m.Clock(r.Context())
		_ = json.NewEncoder(w).Encode(source.Record{T0: now})
	})
	mux.HandleFunc("/load", func(w http.ResponseWriter, r *http.Request) {
		var n key.Name
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.loads[n.ID]++
		s.mu.Unlock()
		m.Seed(n, []byte(n.ID), "load")
		rec, err := m.Load(r.Context(), n, source.Caller{Region: "eu"})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(rec)
	})
	s.http = httptest.NewServer(mux)
	t.Cleanup(s.http.Close)
	return s
}

func (s *countingSource) count() (all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.loads {
		all += n
	}
	return all
}

// remoteSource is a worker's way to the countingSource. Nothing here writes.
type remoteSource struct {
	source.Source
	url    string
	client *http.Client
}

func (s remoteSource) ask(ctx context.Context, path string, n key.Name) (rec source.Record, err error) {
	body, err := json.Marshal(n)
	if err != nil {
		return rec, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, bytes.NewReader(body))
	if err != nil {
		return rec, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return rec, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		reply, _ := io.ReadAll(resp.Body)
		return rec, fmt.Errorf("the source reply %s: %s", resp.Status, reply)
	}
	return rec, json.NewDecoder(resp.Body).Decode(&rec)
}

func (s remoteSource) Load(ctx context.Context, n key.Name, _ source.Caller) (source.Record, error) {
	return s.ask(ctx, "/load", n)
}

func (s remoteSource) Clock(ctx context.Context) (int64, error) {
	rec, err := s.ask(ctx, "/clock", key.Name{})
	return rec.T0, err
}

const (
	countSourceEnv  = "CACHEDRILL_COUNT_SOURCE"
	countRedisEnv   = "CACHEDRILL_COUNT_REDIS"
	countWithoutEnv = "CACHEDRILL_COUNT_WITHOUT"
	countPrefix     = "count: " // before what a child says to its parent: the testing package says things too
)

// TestLoadCountsChild is no test: it is what the children of the tests below run. It does the jobs
// that come in over standard input, one a line, until that ends:
//
//	once ID        every reader reads the name once
//	until ID V     every reader reads the name until it gets version V or a later one
//	walk N         groups of readers walk overlapping parts of N names together
//
// It says "ready" once all readers stand at the barrier, or, of until, have all read once; it lets
// them go at the next line, and says "done" when all are.
func TestLoadCountsChild(t *testing.T) {
	if os.Getenv(countSourceEnv) == "" {
		t.Skip("a child of the tests of load counts")
	}
	p := policy.Recommended()
	for _, name := range strings.Fields(os.Getenv(countWithoutEnv)) {
		var err error
		p, err = p.Without(name)
		require.NoError(t, err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	defer transport.CloseIdleConnections()
	var caches []*Cache
	for range countWorkers {
		rdb := NewClient(os.Getenv(countRedisEnv), p)
		defer rdb.Close()
		c, err := New(t.Context(), Config{
			Region: "eu", Policy: p, Families: []Family{counted}, Shared: store.NewRedis(rdb),
			Source: remoteSource{url: os.Getenv(countSourceEnv), client: &http.Client{Transport: transport}},
		})
		require.NoError(t, err)
		defer c.Close()
		caches = append(caches, c)
	}
	say := func(what string) { fmt.Println(countPrefix + what) }
	say("up")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var word, id string
		var version uint64
		_, _ = fmt.Sscan(lines.Text(), &word, &id, &version)
		var ready, over sync.WaitGroup
		var failed errorList
		barrier := make(chan struct{})
		for i := range countWorkers * countReaders {
			ready.Add(1)
			over.Go(func() {
				failed.add(countJob(t.Context(), caches[i%countWorkers], i/countWorkers, word, id, version, ready.Done, barrier))
			})
		}
		ready.Wait()
		say("ready")
		if !lines.Scan() {
			break
		}
		close(barrier)
		over.Wait()
		say("done " + failed.String())
	}
}

// countJob is one reader's part in a job.
func countJob(ctx context.Context, c *Cache, reader int, word, id string, version uint64, ready func(), barrier <-chan struct{}) error {
	switch word {
	case "once":
		ready()
		<-barrier
		_, err := c.Get(ctx, countedName(id))
		return err
	case "until":
		for first := true; ; first = false {
			a, err := c.Get(ctx, countedName(id))
			if first {
				ready()
			}
			if err != nil || a.Version >= version {
				return err
			}
		}
	case "walk":
		ready()
		<-barrier
		const groups, share = 16, countKeys / 4
		for i := range share {
			at := (reader%groups*countKeys/groups + i) % countKeys
			if _, err := c.Get(ctx, countedName(fmt.Sprint(at))); err != nil {
				return err
			}
		}
		return nil
	}
	ready()
	return errors.New("unknown job " + word)
}

type errorList struct {
	mu   sync.Mutex
	errs []error
}

func (l *errorList) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.errs = append(l.errs, err)
	}
}

// String gives how many there are, and the first.
func (l *errorList) String() string {
	if len(l.errs) == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, the first: %v", len(l.errs), l.errs[0])
}

// countProcess is a child.
type countProcess struct {
	t     *testing.T
	stdin io.WriteCloser
	says  chan string
}

func (p countProcess) tell(format string, args ...any) {
	_, err := fmt.Fprintf(p.stdin, format+"\n", args...)
	require.NoError(p.t, err)
}

func (p countProcess) expect(what string) {
	p.t.Helper()
	select {
	case reply, ok := <-p.says:
		require.True(p.t, ok, "the child ended")
		require.Equal(p.t, what, reply)
	case <-time.After(2 * time.Minute):
		require.Fail(p.t, "the child says nothing")
	}
}

// fleet is the workers of one region, in several processes, with the Redis and the source that they
// share.
type fleet struct {
	t      *testing.T
	source *countingSource
	redis  *redis.Client
	procs  []countProcess
}

func newFleet(t *testing.T, load time.Duration, without ...string) *fleet {
	addr := redistest.Start(t, redis.Options{}).Addr
	f := &fleet{t: t, source: newCountingSource(t, load), redis: redis.NewClient(&redis.Options{Addr: addr})}
	t.Cleanup(func() { f.redis.Close() })
	for range countProcesses {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLoadCountsChild$", "-test.timeout=5m")
		cmd.Env = append(os.Environ(), countSourceEnv+"="+f.source.http.URL, countRedisEnv+"="+addr, countWithoutEnv+"="+strings.Join(without, " "),
			"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		p := countProcess{t: t, stdin: stdin, says: make(chan string, 16)}
		read := make(chan struct{})
		go func() {
			defer close(read)
			defer close(p.says)
			for lines := bufio.NewScanner(stdout); lines.Scan(); {
				if reply, ok := strings.CutPrefix(lines.Text(), countPrefix); ok {
					p.says <- reply
				}
			}
		}()
		t.Cleanup(func() {
			_ = stdin.Close() // the child ends with it; where it does not, its own timeout ends it
			<-read
			_ = cmd.Wait()
		})
		f.procs = append(f.procs, p)
	}
	f.expect("up")
	return f
}

func (f *fleet) tell(format string, args ...any) {
	for _, p := range f.procs {
		p.tell(format, args...)
	}
}

func (f *fleet) expect(what string) {
	f.t.Helper()
	for _, p := range f.procs {
		p.expect(what)
	}
}

// run does a job in all processes and counts the loads from the moment at which all readers are
// ready. between happens then, before they are let go.
func (f *fleet) run(between func(), job string, args ...any) (loads int) {
	f.t.Helper()
	f.tell(job, args...)
	f.expect("ready")
	before := f.source.count()
	between()
	f.tell("go")
	f.expect("done 0")
	return f.source.count() - before
}

func nothing() {}

const countedHot = "counted:hot:v1"

// hotAgain makes sure that the hot name is in Redis, and gives what is there.
func (f *fleet) hotAgain() entry.Entry {
	f.t.Helper()
	f.run(nothing, "once hot")
	raw, err := f.redis.Get(f.t.Context(), countedHot).Bytes()
	require.NoError(f.t, err)
	e, err := entry.Decode(raw)
	require.NoError(f.t, err)
	return e
}

const countRounds = 5

// A hot key of a bounded family ends under 256 concurrent readers on 4 workers in 2 processes: one
// load per region, counted at the source.
func TestOneLoadWhenAHotKeyEnds(t *testing.T) {
	t.Run("deleted", func(t *testing.T) {
		f := newFleet(t, 50*time.Millisecond, "l1")
		for range countRounds {
			loads := f.run(func() { require.NoError(t, f.redis.Del(t.Context(), countedHot).Err()) }, "once hot")
			require.Equal(t, 1, loads)
		}
	})
	t.Run("new workers", func(t *testing.T) { // whose memory is empty
		for range 2 {
			f := newFleet(t, 50*time.Millisecond)
			require.Equal(t, 1, f.run(nothing, "once hot"))
		}
	})
	t.Run("expired", func(t *testing.T) { // in the middle of the reads
		f := newFleet(t, 50*time.Millisecond, "l1")
		for range countRounds {
			next := f.hotAgain().Meta.Version + 1
			loads := f.run(func() { require.NoError(t, f.redis.PExpire(t.Context(), countedHot, time.Millisecond).Err()) }, "until hot %d", next)
			require.Equal(t, 1, loads)
		}
	})
}

// After a flush with k distinct keys asked for: at most 1.02 k loads, counted at the source.
//
// The workers wait for Redis as long as it takes: on a machine that is too busy it misses the
// deadline now and then, and who gives it up loads for itself, rightly.
func TestLoadsAfterAFlush(t *testing.T) {
	t.Run("flushed", func(t *testing.T) {
		f := newFleet(t, 20*time.Millisecond, "l1", "redis-deadline")
		f.run(nothing, "walk %d", countKeys)
		loads := f.run(func() { require.NoError(t, f.redis.FlushAll(t.Context()).Err()) }, "walk %d", countKeys)
		require.GreaterOrEqual(t, loads, countKeys)
		require.LessOrEqual(t, loads, countKeys*102/100)
	})
	t.Run("new workers", func(t *testing.T) {
		loads := newFleet(t, 20*time.Millisecond, "redis-deadline").run(nothing, "walk %d", countKeys)
		require.GreaterOrEqual(t, loads, countKeys)
		require.LessOrEqual(t, loads, countKeys*102/100)
	})
}
