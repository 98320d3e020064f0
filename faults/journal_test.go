package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults/link"
	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/faults/undo"

	"github.com/cachedrill/cachedrill/targets"
)

// noted is a site with a journal and an audit log, and where they are.
func noted(t *testing.T, s Site) (Site, string) {
	dir := t.TempDir()
	var err error
	s.Journal, err = undo.OpenJournal(filepath.Join(dir, undo.JournalFile))
	require.NoError(t, err)
	s.Audit, err = undo.OpenAudit(filepath.Join(dir, undo.AuditFile))
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = s.Journal.Close(), s.Audit.Close() })
	return s, dir
}

// repair is what heals when the process that injected is gone.
func repair(t *testing.T, s Site, dir string) []undo.HealResult {
	t.Helper()
	require.NoError(t, s.Journal.Close())
	out, err := undo.Repair(within(t), filepath.Join(dir, undo.JournalFile), "", s.Audit)
	require.NoError(t, err)
	for i := range out {
		require.WithinDuration(t, time.Now(), out[i].Injected, time.Minute)
		out[i].Injected = time.Time{}
	}
	return out
}

func audited(t *testing.T, dir string) (out []undo.AuditRecord) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, undo.AuditFile))
	require.NoError(t, err)
	for l := range bytes.Lines(text) {
		var r undo.AuditRecord
		require.NoError(t, json.Unmarshal(l, &r))
		require.WithinDuration(t, time.Now(), r.When, time.Minute)
		require.Regexp(t, `.+@.+ pid \d+$`, r.Who)
		r.When, r.Who = time.Time{}, ""
		out = append(out, r)
	}
	return out
}

func TestJournalOfWhatWasHealed(t *testing.T) {
	n := newMini(t)
	addr := "redis@eu " + n.Addr()
	s, dir := noted(t, site(n))
	fill(t, n.client, "product:", 10, time.Minute)
	for _, f := range []Fault{
		Restart{Region: "eu", Down: 1}, Flush{Region: "eu"}, Expire{Family: "product"}, Sham(Kill{Region: "eu", Down: 1}),
	} {
		fill(t, n.client, "product:", 10, time.Minute)
		in, err := f.Inject(within(t), s)
		require.NoError(t, err)
		evidence, err := in.Heal(within(t))
		require.NoError(t, err)
		require.NotEmpty(t, evidence)
		_, err = in.Heal(within(t))
		require.NoError(t, err)
		log := audited(t, dir)
		require.Equal(t, []undo.AuditRecord{
			{Fault: f.String(), Action: undo.AuditInject, Where: []string{addr}},
			{Fault: f.String(), Action: undo.AuditHeal, Where: []string{addr}, Evidence: evidence},
		}, log[len(log)-2:])
	}
	_, err := Kill{Region: "eu", Down: 1}.Inject(within(t), Site{Servers: map[string]Server{"eu": &unruly{mini: n, identity: func(context.Context) (targets.RedisIdentity, error) {
		return targets.RedisIdentity{}, errors.New("broken")
	}}}, Journal: s.Journal, Audit: s.Audit})
	require.ErrorContains(t, err, "broken")
	log := audited(t, dir)
	require.Equal(t, "identifying redis@eu: broken", log[len(log)-1].Error)
	require.Equal(t, undo.AuditFail, log[len(log)-1].Action)
	require.Empty(t, repair(t, s, dir), "all of it was healed")
	info, err := os.Stat(filepath.Join(dir, undo.JournalFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// What is not healed when the process ends is reported, once, with what can be done about it.
func TestRepairTellsWhatEndedAndWhatIsLost(t *testing.T) {
	n := newMini(t)
	s, dir := noted(t, site(n))
	edges, _ := twoEdges(t)
	s.Edges = edges.Edges
	fill(t, n.client, "product:", 10, 0)
	for _, f := range []Fault{Flush{Region: "eu"}, on(link.Refuse, "source"), Restart{Region: "eu", Down: 1}} {
		in, err := f.Inject(within(t), s)
		require.NoError(t, err)
		defer func() { _, _ = in.Heal(context.Background()) }()
	}
	require.Equal(t, []undo.HealResult{
		{Fault: "redis.restart{region: eu, down: 1ns}", Outcome: undo.NothingToUndo, Detail: "its Redis was the process's own, and ended with it"},
		{Fault: "network.refuse{edge: source, for: 1s}", Outcome: undo.NothingToUndo, Detail: "the network proxies ended with the process that had injected it"},
		{Fault: "keys.flush{region: eu}", Outcome: undo.Impossible, Detail: "keys that were deleted can't be brought back"},
	}, repair(t, s, dir))
	log := audited(t, dir)
	require.Equal(t, undo.AuditRecord{
		Fault: "keys.flush{region: eu}", Action: undo.AuditHeal, Where: []string{n.Addr() + " db 0"},
		Evidence: "can't be undone: keys that were deleted can't be brought back",
	}, log[len(log)-1])
	require.Empty(t, repair(t, Site{Audit: s.Audit}, dir), "it is reported once")
}

// armedByJournal arms keys as keys.expire does, and leaves them to the journal.
func armedByJournal(t *testing.T, n redisNode, s Site) *expiryBatch {
	e, err := s.Journal.Begin(Expire{Family: "product"}.String(), undo.ArmedNone())
	require.NoError(t, err)
	a := newExpiryBatch("eu", rediskeys.Of(n.Client()), "*product:*", func(string) bool { return true })
	a.entry = e
	a.at, err = locate(n, "eu")
	require.NoError(t, err)
	require.NoError(t, a.readClock(within(t)))
	return a
}

func TestRepairGivesKeysTheirExpiryBack(t *testing.T) {
	onEachRedis(t, func(t *testing.T, start func(*testing.T) redisNode) {
		n := start(t)
		c := n.Client()
		s, dir := noted(t, site(n))
		odd := "product:\xff\x00\n\"" // any bytes
		fill(t, c, "product:hours:", 600, 3*time.Hour)
		fill(t, c, "product:never:", 700, 0)
		require.NoError(t, c.Set(within(t), odd, "v", 2*time.Hour).Err())
		a := armedByJournal(t, n, s)
		moment := time.Now().Add(time.Hour)
		require.NoError(t, a.scan(within(t)))
		require.NoError(t, a.arm(within(t), moment))
		// One is written again, and armed again; one is written after that; one is gone.
		require.NoError(t, c.Set(within(t), "product:hours:1", "v", 5*time.Hour).Err())
		require.NoError(t, a.arm(within(t), moment))
		require.NoError(t, c.Set(within(t), "product:hours:2", "v", 6*time.Hour).Err())
		require.NoError(t, c.Del(within(t), "product:hours:3").Err())
		require.Equal(t, time.Hour, c.PTTL(within(t), odd).Val().Round(time.Minute))

		got := repair(t, s, dir)
		require.Len(t, got, 1)
		require.Equal(t, undo.Undone, got[0].Outcome)
		require.Contains(t, got[0].Detail, " db 0 1,299 keys have their own expiry back")
		for key, want := range map[string]time.Duration{
			"product:hours:0": 3 * time.Hour, "product:hours:599": 3 * time.Hour, "product:never:0": -1, "product:never:699": -1,
			odd: 2 * time.Hour, "product:hours:1": 5 * time.Hour, "product:hours:2": 6 * time.Hour, "product:hours:3": -2,
		} {
			have := c.PTTL(within(t), key).Val()
			if want > 0 {
				have = have.Round(time.Minute)
			}
			require.Equal(t, want, have, key)
		}
		require.Empty(t, repair(t, Site{}, dir))
	})
}

func TestRepairOfKeysThatAreGone(t *testing.T) {
	n := newMini(t)
	s, dir := noted(t, site(ownedRedis{redisNode: n}))
	fill(t, n.client, "product:", 10, time.Hour)
	a := armedByJournal(t, ownedRedis{redisNode: n}, s)
	require.NoError(t, a.scan(within(t)))
	require.NoError(t, a.arm(within(t), time.Now().Add(time.Minute)))
	require.NoError(t, n.Stop(within(t)))
	got := repair(t, s, dir)
	require.Equal(t, undo.Failed, got[0].Outcome, "somebody else's Redis may come back")
	require.Contains(t, got[0].Detail, "connection refused")
	require.NoError(t, n.Start(within(t))) // empty
	got = repair(t, Site{}, dir)
	require.Equal(t, undo.Impossible, got[0].Outcome)
	require.Contains(t, got[0].Detail, "10 are gone, 0 had been written or healed meanwhile: keys that have expired can't be brought back")
	require.Empty(t, repair(t, Site{}, dir))
}

func TestRepairOfARedisThatItsOwnerMustStart(t *testing.T) {
	n := newMini(t)
	s, dir := noted(t, site(ownedRedis{redisNode: n}))
	_, err := Kill{Region: "eu", Down: time.Hour}.Inject(within(t), s)
	require.NoError(t, err)
	got := repair(t, s, dir)
	require.Equal(t, []undo.HealResult{{Fault: "redis.kill{region: eu, down: 1h0m0s}", Outcome: undo.Failed,
		Detail: "the Redis at " + n.Addr() + " db 0 does not answer, and it is not known how to start it: start it, and try again"}}, got)
	require.NoError(t, n.Start(within(t)))
	got = repair(t, Site{}, dir)
	require.Equal(t, undo.NothingToUndo, got[0].Outcome)
}

func TestRepairStartsARedisAgain(t *testing.T) {
	s0 := onProcess(t)
	// The command returns, and what it started stays: as daemons do.
	command := []string{s0.path, "--port", s0.port, "--bind", "127.0.0.1", "--save", "", "--daemonize", "yes", "--dir", s0.dir}
	n := ownedRedis{redisNode: s0, start: command}
	s, dir := noted(t, site(n))
	in, err := Kill{Region: "eu", Down: time.Hour}.Inject(within(t), s)
	require.NoError(t, err)
	require.NotEmpty(t, in.Evidence)

	broken := s
	broken.Journal, err = undo.OpenJournal(filepath.Join(dir, "broken.jsonl"))
	require.NoError(t, err)
	_, err = broken.Journal.Begin(Kill{}.String(), undo.StartAgain(&undo.Server{Addr: n.Addr()}, []string{s0.path, "--nonsense"}))
	require.NoError(t, err)
	require.NoError(t, broken.Journal.Close())
	got, err := undo.Repair(within(t), filepath.Join(dir, "broken.jsonl"), "", nil)
	require.NoError(t, err)
	require.Equal(t, undo.Failed, got[0].Outcome)
	require.Contains(t, got[0].Detail, "exit status 1")

	got = repair(t, s, dir)
	t.Cleanup(func() { _ = s0.client.ShutdownNoSave(context.Background()).Err() })
	require.Equal(t, undo.Undone, got[0].Outcome, got[0].Detail)
	require.Contains(t, got[0].Detail, "and answers; what it held is lost")
	require.NoError(t, n.Ping(within(t)))
	got, err = undo.Repair(within(t), filepath.Join(dir, "broken.jsonl"), "", nil)
	require.NoError(t, err)
	require.Equal(t, undo.NothingToUndo, got[0].Outcome)
}

func TestRepairLeavesTheLivingAlone(t *testing.T) {
	s, dir := noted(t, Site{})
	path := filepath.Join(dir, undo.JournalFile)
	_, err := s.Journal.Begin(Flush{}.String(), undo.Lost(nil, ""))
	require.NoError(t, err)
	_, err = undo.Repair(within(t), path, "", nil)
	require.ErrorIs(t, err, undo.ErrJournalInUse)
	other, err := undo.OpenJournal(path)
	require.NoError(t, err, "two drills may share one")
	_, err = other.Begin(Flush{Region: "us"}.String(), undo.Lost(nil, ""))
	require.NoError(t, err)
	require.NoError(t, other.Close())
	require.Len(t, repair(t, s, dir), 2)

	got, err := undo.Repair(within(t), filepath.Join(dir, "none"), "", nil)
	require.NoError(t, err)
	require.Empty(t, got)
	require.NoFileExists(t, filepath.Join(dir, "none"))
}

func TestJournalThatWasCutOff(t *testing.T) {
	s, dir := noted(t, Site{})
	path := filepath.Join(dir, undo.JournalFile)
	_, err := s.Journal.Begin(Flush{}.String(), undo.Lost(nil, ""))
	require.NoError(t, err)
	require.NoError(t, s.Journal.Close())
	add := func(text string) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		require.NoError(t, err)
		_, err = f.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	add(`{"id":"half`) // never was on disk as a whole, so that nothing was injected
	s.Journal, err = undo.OpenJournal(path)
	require.NoError(t, err)
	_, err = s.Journal.Begin(Flush{Region: "us"}.String(), undo.Lost(nil, ""))
	require.NoError(t, err)
	require.Len(t, repair(t, s, dir), 2)
	add("nonsense\n")
	_, err = undo.Repair(within(t), path, "", nil)
	require.ErrorContains(t, err, path+":5: this is no line of an undo journal")
}

// Nothing is injected that could not be noted before.
func TestNothingIsInjectedWithoutItsJournal(t *testing.T) {
	n := newMini(t)
	fill(t, n.client, "product:", 10, time.Hour)
	for what, close := range map[string]func(Site){
		"journal": func(s Site) { _ = s.Journal.Close() }, "audit log": func(s Site) { _ = s.Audit.Close() },
	} {
		edges, ps := twoEdges(t)
		s, _ := noted(t, site(n))
		s.Edges = edges.Edges
		close(s)
		for _, f := range []Fault{Flush{Region: "eu"}, Restart{Region: "eu", Down: 1}, Expire{Family: "product"}, on(link.Refuse, "source")} {
			_, err := f.Inject(within(t), s)
			require.ErrorContains(t, err, f.String()+": writing the ")
			require.ErrorContains(t, err, what)
			require.ErrorIs(t, err, os.ErrClosed)
		}
		require.Equal(t, 10, count(t, n.client, "*"))
		require.Equal(t, time.Hour, n.client.PTTL(within(t), "product:0").Val().Round(time.Minute))
		require.Equal(t, 1, n.incarnation)
		require.NoError(t, ask(within(t), ps.Proxy("source").Listen()))
	}
}

// What to undo is written before it is done, for every batch of keys.
func TestExpireNotesKeysBeforeItTouchesThem(t *testing.T) {
	n := newMini(t)
	fill(t, n.client, "product:", 1200, time.Hour)
	s, dir := noted(t, site(n))
	var mu sync.Mutex
	batches := 0
	n.client.AddHook(onEachPipeline(func(cmds []goredis.Cmder, send func() error) error {
		if arms(cmds) {
			text, err := os.ReadFile(filepath.Join(dir, undo.JournalFile))
			mu.Lock()
			defer mu.Unlock()
			batches++
			for _, c := range cmds {
				if key, _ := json.Marshal([]byte(c.Args()[1].(string))); err != nil || !strings.Contains(string(text), string(key)) {
					t.Errorf("%v is not in the journal: %v", c.Args()[1], err)
				}
			}
		}
		return send()
	}))
	in, err := Expire{Family: "product"}.Inject(within(t), s)
	require.NoError(t, err)
	_, err = in.Heal(within(t))
	require.NoError(t, err)
	require.GreaterOrEqual(t, batches, 3)
	require.Empty(t, repair(t, s, dir))
}

func TestAnInjectionThatCouldNotBeUndoneStaysInTheJournal(t *testing.T) {
	u := &unruly{mini: newMini(t)}
	u.stop = func(ctx context.Context) error { return errors.Join(u.mini.Stop(ctx), errors.New("broken")) }
	u.start = func(context.Context) error { return syscall.EPERM }
	s, dir := noted(t, site(u))
	_, err := Restart{Region: "eu", Down: 1}.Inject(within(t), s)
	require.ErrorIs(t, err, syscall.EPERM)
	require.Len(t, repair(t, s, dir), 1)
}
