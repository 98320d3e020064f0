package contract

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/journal"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/purge"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

const canaryContract = `
version: 1
service: shop
release: 1.0
owner: {team: accounts, contact: "#accounts"}
incidents: docs/cache.md
ttl_classes:
  short: {ttl: 1m, review: 2100-01-01, why: test}
families:
  customer:
    class: bounded
    within: 1m
    ttl: short
    schema: 1
    vary: [tenant]
    fields:
      city: public
      email: {class: personal, redact: mask}
      password: {class: secret, redact: drop}
      card.number: {class: secret, redact: mask}
      card.pin: {class: secret, redact: drop}
      addresses.street: {class: personal, redact: mask}
      addresses.notes.door: {class: secret, redact: drop}
jobs:
  warm: {kind: refresh, family: customer, every: 1h, budget: {rate: 1000/s, for: 10s}, alert: "#accounts"}
decisions:
  - {on: 2026-01-01, what: Customers are cached., why: test, by: test}
`

// places is what was seen of a run, by where.
type places map[string][]byte

func (p places) add(where string, what []byte) { p[where] = append(append(p[where], what...), '\n') }

// flock makes values with canaries in every field that is to be redacted, and remembers those.
type flock struct{ canaries []string }

func (f *flock) canary(field string) string {
	c := fmt.Sprintf("cnry%s%08x", field, 0x9e3779b1*uint32(len(f.canaries)+1))
	f.canaries = append(f.canaries, c)
	return c
}

// value has beside each canary something that may be seen, and must be.
func (f *flock) value(city string) []byte {
	b, err := json.Marshal(map[string]any{
		"city": city, "email": f.canary("Email") + "@example.com", "password": map[string]string{"deep": f.canary("Password")},
		"card": map[string]any{"number": f.canary("Number"), "pin": []string{f.canary("Pin")}, "brand": city},
		"addresses": []any{
			map[string]any{"street": f.canary("Street"), "notes": []any{map[string]string{"door": f.canary("Door"), "bell": city}}},
			map[string]any{"street": f.canary("Street"), "notes": map[string]string{"door": f.canary("Door")}},
		},
	})
	if err != nil {
		panic(err)
	}
	return b
}

// shaky is a source whose loads fail while the test wants it.
type shaky struct {
	*source.Model
	fails error
}

func (s *shaky) Load(ctx context.Context, n key.Name, by source.Caller) (source.Record, error) {
	if s.fails != nil {
		return source.Record{}, s.fails
	}
	return s.Model.Load(ctx, n, by)
}

func customer(id string) key.Name { return key.Name{Family: "customer", ID: id, Tenant: "acme"} }

// marker goes to every place that nothing is expected in, to prove that somebody looked there.
const marker = "somebody looked here"

// canaryRun does to a cache whatever it can, and gives what was to be seen of it.
func canaryRun(t *testing.T, redacting bool) (places, *flock) {
	seen, birds := places{}, &flock{}
	stdout, logs := captureOutput(t)
	// What is compressed can't be looked through: Redis must not.
	server := redistest.Start(t, redis.Options{}, "--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", "no",
		"--rdbcompression", "no", "--loglevel", "debug", "--enable-debug-command", "local", "--slowlog-log-slower-than", "0", "--slowlog-max-len", "10000")
	p, err := policy.Recommended().Without("redis-deadline") // a busy machine is not what this is about
	require.NoError(t, err)
	client := reference.NewClient(server.Addr, p)
	defer client.Close()
	stopMonitor := monitor(t, server.Addr)

	c := parse(t, canaryContract)
	families := c.Cached()
	redact := families[0].Redact
	if !redacting {
		families[0].Redact = nil
		redact = func(v []byte) ([]byte, error) { return v, nil }
	}
	began := time.Now()
	model, err := source.NewModel(source.ModelConfig{Servers: 10, Now: func() int64 { return int64(time.Since(began)) }})
	require.NoError(t, err)
	defer model.Close()
	truth := &shaky{Model: model}
	shared := store.NewRedis(client)
	worker := func() *reference.Cache {
		w, err := reference.New(t.Context(), reference.Config{Region: "eu", Policy: p, Families: families, Source: truth, Shared: shared})
		require.NoError(t, err)
		t.Cleanup(w.Close)
		return w
	}
	one, two := worker(), worker()
	refused := func(err error) {
		require.Error(t, err)
		seen.add("errors", []byte(err.Error()))
	}
	answer := func(w *reference.Cache, n key.Name, tier reference.Tier) {
		t.Helper()
		a, err := w.Get(t.Context(), n)
		require.NoError(t, err)
		require.Equal(t, tier, a.Tier)
		seen.add("answers from "+string(tier), a.Value)
	}

	// Writes, fills, hits in every tier; the write-behind's record; an event; what was there
	// before, at start and by a job.
	w, err := one.Put(t.Context(), customer("1"), birds.value("Lisbon"), "w1")
	require.NoError(t, err)
	answer(one, customer("1"), reference.TierSource)
	answer(one, customer("1"), reference.TierL1)
	answer(two, customer("1"), reference.TierL2)
	into := reference.NewInvalidator(p, families, shared)
	w, err = one.Put(t.Context(), customer("1"), birds.value("Porto"), "w2")
	require.NoError(t, err)
	require.NoError(t, into.Apply(t.Context(), customer("1"), w.Version, w.T0))
	answer(one, customer("1"), reference.TierSource)
	past, err := two.GetBypass(t.Context(), customer("1"), false)
	require.NoError(t, err)
	seen.add("answers past the tiers", past.Value)
	for _, id := range []string{"2", "3"} {
		model.Seed(customer(id), birds.value("Faro"), "seed"+id)
	}
	require.NoError(t, one.Prewarm(t.Context(), []key.Name{customer("2")}, func(int) float64 { return 0 }))
	job := Runner{Contract: c, Cache: two, Names: func(Job) iter.Seq[key.Name] {
		return slices.Values([]key.Name{customer("1"), customer("2"), customer("3")})
	}}
	run := job.Once(t.Context(), c.Jobs[0])
	require.Empty(t, run.Problem)
	var page bytes.Buffer
	require.NoError(t, Render(&page, c, day("2026-11-24")))
	seen.add("reports", append([]byte(run.String()), page.Bytes()...))
	// One that is compressed on its way.
	_, err = one.Put(t.Context(), customer("7"), birds.value(strings.Repeat("Lagos ", 2000)), "w7")
	require.NoError(t, err)
	answer(one, customer("7"), reference.TierSource)
	answer(two, customer("7"), reference.TierL2)
	folder := t.TempDir()
	kept, _, err := journal.Open(journal.Config{Files: journal.Folder(folder)})
	require.NoError(t, err)
	record, err := redact(birds.value("Braga"))
	require.NoError(t, err)
	_, err = kept.Append(t.Context(), record)
	require.NoError(t, err)

	// What goes wrong: a value that can't be redacted, a load that fails, a name that is none, a
	// job that does not get through.
	model.Seed(customer("4"), []byte(`"`+birds.canary("Broken")+`"`), "seed4")
	if _, err := one.Get(t.Context(), customer("4")); redacting {
		require.ErrorIs(t, err, ErrRedaction)
		refused(err)
		_, err = one.GetBypass(t.Context(), customer("4"), false)
		refused(err)
		refused(one.Prewarm(t.Context(), []key.Name{customer("4")}, func(int) float64 { return 0 }))
		job.Names = func(Job) iter.Seq[key.Name] { return slices.Values([]key.Name{customer("4")}) }
		run = job.Once(t.Context(), c.Jobs[0])
		require.NotEmpty(t, run.Problem)
		seen.add("reports", []byte(run.String()))
	}
	truth.fails = errors.New("the source is away")
	_, err = one.Get(t.Context(), customer("5"))
	refused(err)
	truth.fails = nil
	_, err = one.Put(t.Context(), key.Name{Family: "customer", ID: "6"}, birds.value("Evora"), "w6")
	refused(err)
	_, err = one.Delete(t.Context(), customer("3"))
	require.NoError(t, err)
	purgeSome(t, seen, families, shared)

	// And now look everywhere.
	require.NoError(t, client.Do(t.Context(), "DEBUG", "LOG", marker).Err())
	slog.Info(marker)
	log.Print(marker)
	fmt.Println(marker)
	require.NoError(t, client.Echo(t.Context(), marker).Err()) // the last command that the monitor takes
	seen.add("monitor", stopMonitor())
	slow, err := client.SlowLogGet(t.Context(), -1).Result()
	require.NoError(t, err)
	seen.add("slow log", fmt.Append(nil, slow))
	dumpKeys(t, client, seen)
	require.NoError(t, client.Save(t.Context()).Err())
	files(t, seen, "files of redis: ", server.Dir)
	files(t, seen, "journal: ", folder)
	require.NoError(t, kept.Close())
	seen.add("logs", logs())
	seen.add("output", stdout())
	return seen, birds
}

// purgeSome purges one name, and looks at the audit log.
func purgeSome(t *testing.T, seen places, families []reference.Family, shared store.Store) {
	path := filepath.Join(t.TempDir(), "purges.jsonl")
	audit, err := purge.OpenAudit(path)
	require.NoError(t, err)
	purger, err := purge.New(purge.Config{Region: "eu", Policy: policy.Recommended(), Families: reference.PurgeFamilies(families), Shared: shared, Audit: audit})
	require.NoError(t, err)
	_, err = purger.Purge(t.Context(), purge.Order{Selector: purge.Selector{Name: customer("2")}, Who: "ines", Why: "test"})
	require.NoError(t, err)
	require.NoError(t, audit.Close())
	files(t, seen, "audit log: ", filepath.Dir(path))
}

// captureOutput takes what the process prints and logs, until the test ends.
func captureOutput(t *testing.T) (stdout, logs func() []byte) {
	folder := t.TempDir()
	open := func(name string) (*os.File, func() []byte) {
		f, err := os.Create(filepath.Join(folder, name))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, f.Close()) })
		return f, func() []byte {
			all, err := os.ReadFile(f.Name())
			require.NoError(t, err)
			return all
		}
	}
	outFile, out := open("out")
	logFile, logged := open("log")
	was, wasErr, wasSlog, wasLog := os.Stdout, os.Stderr, slog.Default(), log.Writer()
	os.Stdout, os.Stderr = outFile, outFile
	slog.SetDefault(slog.New(slog.NewTextHandler(logFile, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.SetOutput(logFile)
	t.Cleanup(func() {
		os.Stdout, os.Stderr = was, wasErr
		slog.SetDefault(wasSlog)
		log.SetOutput(wasLog)
	})
	return out, logged
}

// monitor takes every command that the server runs from now on until the marker. It is read raw: a
// client would hide some.
func monitor(t *testing.T, addr string) (stop func() []byte) {
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	_, err = io.WriteString(conn, "MONITOR\r\n")
	require.NoError(t, err)
	ready := make([]byte, 5)
	_, err = io.ReadFull(conn, ready)
	require.NoError(t, err)
	require.Equal(t, "+OK\r\n", string(ready))
	all := make(chan []byte, 1)
	go func() {
		var b []byte
		lines := bufio.NewReader(conn)
		for !bytes.Contains(b, []byte(marker)) {
			line, err := lines.ReadBytes('\n')
			if b = append(b, line...); err != nil {
				break
			}
		}
		all <- b
	}()
	t.Cleanup(func() { _ = conn.Close() })
	return func() []byte { return <-all }
}

// dumpKeys looks through the whole server: names, values by their type, and their serialized form.
func dumpKeys(t *testing.T, c *redis.Client, seen places) {
	all := c.Scan(t.Context(), 0, "*", 1000).Iterator()
	for all.Next(t.Context()) {
		k := all.Val()
		seen.add("keys", []byte(k))
		raw, err := c.Dump(t.Context(), k).Bytes()
		require.NoError(t, err)
		seen.add("raw values", raw)
		var decoded any
		switch kind := c.Type(t.Context(), k).Val(); kind {
		case "string":
			decoded, err = c.Get(t.Context(), k).Result()
		case "hash":
			decoded, err = c.HGetAll(t.Context(), k).Result()
		case "list":
			decoded, err = c.LRange(t.Context(), k, 0, -1).Result()
		case "set":
			decoded, err = c.SMembers(t.Context(), k).Result()
		case "zset":
			decoded, err = c.ZRangeWithScores(t.Context(), k, 0, -1).Result()
		case "stream":
			decoded, err = c.XRange(t.Context(), k, "-", "+").Result()
		default:
			t.Fatalf("%s is a %s, and this test can not look into it", k, kind)
		}
		require.NoError(t, err)
		seen.add("decoded values", fmt.Append(nil, decoded))
	}
	require.NoError(t, all.Err())
}

func files(t *testing.T, seen places, what, dir string) {
	found := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		found++
		raw, err := os.ReadFile(path)
		seen.add(what+filepath.Base(path), raw)
		return err
	}))
	require.NotZero(t, found, dir)
}

// found says where canaries are, and in which form.
func found(seen places, canaries []string) map[string][]string {
	out := map[string][]string{}
	for where, all := range seen {
		for _, c := range canaries {
			for form, text := range forms(c) {
				if bytes.Contains(all, text) {
					out[where] = append(out[where], form+" "+c)
				}
			}
		}
	}
	return out
}

// Canaries in redacted fields are nowhere. Without redaction the same run shows them wherever
// values are: so it can fail.
func TestCanariesAreNowhere(t *testing.T) {
	seen, birds := canaryRun(t, true)
	require.Greater(t, len(birds.canaries), 40)
	require.Empty(t, found(seen, birds.canaries))
	for _, where := range []string{"answers from source", "answers from l1", "answers from l2", "answers past the tiers", "raw values", "decoded values",
		"monitor", "files of redis: appendonly.aof.1.incr.aof", "files of redis: dump.rdb", "journal: 0000000000000001.journal"} {
		require.Regexp(t, "Lisbon|Porto|Faro|Braga", string(seen[where]), "what is not redacted is there: %s", where)
	}
	for _, where := range []string{"logs", "output", "files of redis: server.log"} {
		require.Contains(t, string(seen[where]), marker, where)
	}
	require.Equal(t, 2, strings.Count(string(seen["logs"]), marker), "both loggers")
	require.Contains(t, string(seen["slow log"]), "tenant:acme:customer:1:v1", "it cuts arguments off, at 128 bytes")
	require.Contains(t, string(seen["keys"]), "tenant:acme:customer:1:v1")
	require.Contains(t, string(seen["audit log: purges.jsonl"]), "tenant:acme:customer:2:v1")
	require.Contains(t, string(seen["errors"]), "can't be redacted")
	require.Contains(t, string(seen["reports"]), "can't be redacted")
}

func TestCanariesAreSeenWithoutRedaction(t *testing.T) {
	seen, birds := canaryRun(t, false)
	at := slices.Sorted(maps.Keys(found(seen, birds.canaries)))
	require.Equal(t, []string{"answers from l1", "answers from l2", "answers from source", "answers past the tiers", "decoded values",
		"files of redis: appendonly.aof.1.incr.aof", "files of redis: dump.rdb", "journal: 0000000000000001.journal", "monitor", "raw values", "slow log"}, at,
		"and even then neither keys, logs, errors nor reports show values")
}
