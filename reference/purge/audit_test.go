package purge

import (
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

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/store"
)

// auditLines reads a log whose every line must be a record.
func auditLines(t *testing.T, path string) []Record {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var all []Record
	for line := range strings.Lines(string(raw)) {
		var r Record
		require.NoError(t, json.Unmarshal([]byte(line), &r), line)
		all = append(all, r)
	}
	return all
}

func TestAuditLogOfAPurge(t *testing.T) {
	shared := memory()
	require.NoError(t, shared.Set(t.Context(), hotKey, valueOf(1), time.Minute))
	p, log := purgerOf(t, shared, nil)
	began := time.Now()
	_, err := p.Purge(t.Context(), Order{Selector: ofFamily(), Who: "ines", Why: "a \"quoted\"\nreason"})
	require.NoError(t, err)
	lines := auditLines(t, log)
	require.Len(t, lines, 2, "a reason with a line break takes one line")
	require.Equal(t, lines[0].ID, lines[1].ID)
	require.NotEmpty(t, lines[0].ID)
	for i, l := range lines {
		require.WithinDuration(t, began, l.Time, time.Minute)
		require.Equal(t, Record{Event: []string{Begun, Ended}[i], Who: "ines", Why: "a \"quoted\"\nreason",
			Region: "eu", Selector: "family product", Removed: i}, Record{Event: l.Event, Who: l.Who, Why: l.Why,
			Region: l.Region, Selector: l.Selector, Removed: l.Removed, Error: l.Error})
	}
	info, err := os.Stat(log)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	again, err := OpenAudit(log)
	require.NoError(t, err)
	defer again.Close()
	require.NoError(t, again.write(Record{ID: "x"}))
	require.Equal(t, lines, auditLines(t, log)[:2], "it only grows")
}

// A crash may cut the last line off. What comes after must be readable.
func TestAuditLogAfterACrash(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(log, []byte(`{"id":"whole"}`+"\n"+`{"id":"cut o`), 0o600))
	a, err := OpenAudit(log)
	require.NoError(t, err)
	require.NoError(t, a.write(Record{ID: "next"}))
	require.NoError(t, a.Close())
	require.ErrorIs(t, a.write(Record{}), ErrAudit, "closed")
	require.NoError(t, a.Close())
	raw, err := os.ReadFile(log)
	require.NoError(t, err)
	lines := strings.Split(string(raw), "\n")
	require.Len(t, lines, 4)
	require.Equal(t, `{"id":"cut o`, lines[1])
	require.Contains(t, lines[2], `"id":"next"`)

	_, err = OpenAudit(filepath.Join(log, "not a folder"))
	require.ErrorIs(t, err, ErrAudit)
	pipe := filepath.Join(t.TempDir(), "pipe") // has no end to look at
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err = OpenAudit(pipe)
	require.ErrorIs(t, err, ErrAudit)
}

// steps is what happened, in its order: in the log's file and in the store.
type steps struct {
	mu  sync.Mutex
	all []string
}

func (s *steps) add(what string) { s.mu.Lock(); s.all = append(s.all, what); s.mu.Unlock() }

// logFile fails at a step of its life; 0: never.
type logFile struct {
	*steps
	failsAt int
	short   bool
	n       int
}

var errDisk = errors.New("the disk is full")

func (f *logFile) step(what string) error {
	if f.n++; f.n == f.failsAt {
		f.add(what + " failed")
		return errDisk
	}
	f.add(what)
	return nil
}

func (f *logFile) Write(p []byte) (int, error) {
	err := f.step("write")
	if err != nil && f.short {
		return len(p) / 2, nil
	}
	return len(p), err
}
func (f *logFile) Sync() error { return f.step("sync") }
func (*logFile) Close() error  { return nil }

// watched notes the commands that a purge sends.
type watched struct {
	store.Store
	*steps
	dies bool // in the middle
}

func (w watched) Run(ctx context.Context, s *store.Script, keys []string, args ...string) ([]string, error) {
	w.add("run")
	if w.dies {
		panic("the process is gone")
	}
	return w.Store.Run(ctx, s, keys, args...)
}

func (w watched) Scan(ctx context.Context, pieces []string, each func([]string) error) error {
	w.add("scan")
	return w.Store.Scan(ctx, pieces, each)
}

// The record is durable before the first command, and nothing is purged when it is not.
func TestNoPurgeWithoutItsRecord(t *testing.T) {
	purging := []string{"scan", "scan", "run", "run", "run"} // leases, entries; versions, floors, the workers
	for _, c := range []struct {
		failsAt int
		short   bool
		want    []string
		err     error
	}{
		{0, false, append(append([]string{"write", "sync"}, purging...), "write", "sync"), nil},
		{1, false, []string{"write failed"}, ErrAudit},
		{1, true, []string{"write failed"}, ErrAudit},
		{2, false, []string{"write", "sync failed"}, ErrAudit},
		{3, false, append(append([]string{"write", "sync"}, purging...), "write failed"), ErrPartly},
		{4, false, append(append([]string{"write", "sync"}, purging...), "write", "sync failed"), ErrPartly},
	} {
		shared := memory()
		require.NoError(t, shared.Set(t.Context(), hotKey, valueOf(1), time.Minute))
		var seen steps
		p, err := New(Config{Families: []Family{product}, Shared: watched{Store: shared, steps: &seen},
			Audit: &Audit{file: &logFile{steps: &seen, failsAt: c.failsAt, short: c.short}}})
		require.NoError(t, err)
		order := Order{Selector: ofFamily(), Who: "x", Why: "y"}
		done, err := p.Purge(t.Context(), order)
		require.Equal(t, c.want, seen.all)
		if c.err == nil {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrAudit)
		require.Equal(t, c.err == ErrPartly, errors.Is(err, ErrPartly))
		if c.err == ErrPartly {
			require.Equal(t, 1, done.Removed, "the caller learns what was done")
		}
		before := len(seen.all)
		_, err = p.Purge(t.Context(), order)
		require.ErrorIs(t, err, ErrAudit, "a log that failed once is not trusted again")
		require.Len(t, seen.all, before)
	}
}

func TestAPurgeThatIsCutOffLeavesATrace(t *testing.T) {
	shared := memory()
	require.NoError(t, shared.Set(t.Context(), hotKey, []byte("v"), time.Minute))
	p, log := purgerOf(t, watched{Store: shared, steps: &steps{}, dies: true}, nil)
	require.Panics(t, func() { _, _ = p.Purge(t.Context(), Order{Selector: ofHot(), Who: "x", Why: "y"}) })
	lines := auditLines(t, log)
	require.Len(t, lines, 1)
	require.Equal(t, Begun, lines[0].Event)
}
