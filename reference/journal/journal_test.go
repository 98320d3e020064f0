package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, cfg Config) (*Journal, []string) {
	t.Helper()
	j, records, err := Open(cfg)
	require.NoError(t, err)
	return j, texts(records)
}

func texts(records []Record) []string {
	var out []string
	for _, r := range records {
		out = append(out, string(r.Data))
	}
	return out
}

func add(t *testing.T, j *Journal, text string) Position {
	t.Helper()
	at, err := j.Append(t.Context(), []byte(text))
	require.NoError(t, err)
	return at
}

func TestWhatWasAppendedComesBackUntilItIsApplied(t *testing.T) {
	folder := Folder(filepath.Join(t.TempDir(), "deep", "journal"))
	j, before := open(t, Config{Files: folder})
	require.Empty(t, before)
	first := add(t, j, "a")
	add(t, j, "")
	add(t, j, "c")
	require.Equal(t, 3, j.Pending())
	j.Applied(first)
	require.Equal(t, 2, j.Pending())
	require.NoError(t, j.Close())
	require.NoError(t, j.Close(), "closing twice is no mistake")
	_, err := j.Append(t.Context(), []byte("x"))
	require.ErrorIs(t, err, ErrClosed)

	j, records, err := Open(Config{Files: folder})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "", "c"}, texts(records), "a may come again: its file was still in use")
	for _, r := range records {
		j.Applied(r.At)
	}
	require.Zero(t, j.Pending())
	require.NoError(t, j.Close())
	j, before = open(t, Config{Files: folder})
	require.Empty(t, before)
	require.NoError(t, j.Close())
	entries, err := os.ReadDir(string(folder))
	require.NoError(t, err)
	require.Len(t, entries, 1, "files that hold nothing are gone")
}

func TestSegmentsGoWhenTheyWereApplied(t *testing.T) {
	disk := newCrashFiles(1)
	j, _ := open(t, Config{Files: disk, Segment: 100})
	var all []Position
	for i := range 40 {
		all = append(all, add(t, j, fmt.Sprintf("record %02d", i)))
	}
	names, err := disk.List()
	require.NoError(t, err)
	require.Greater(t, len(names), 5)
	for _, p := range all {
		j.Applied(p)
	}
	require.NoError(t, j.Close())
	names, err = disk.List()
	require.NoError(t, err)
	require.Len(t, names, 1)
}

// Over many crashes at random moments, with many who append at once: whatever was acknowledged
// comes back, in the order in which one caller appended, and nothing that was never appended does.
func TestNothingAcknowledgedIsLostInACrash(t *testing.T) {
	for seed := range uint64(300) {
		disk := newCrashFiles(seed)
		acked, sent := map[string]bool{}, map[string]bool{}
		for life := range 4 {
			j, found := open(t, Config{Files: disk, Segment: 400})
			at := map[string]int{}
			for i, text := range found {
				require.True(t, sent[text], "seed %d: %q was never appended", seed, text)
				at[text] = i
			}
			for text := range acked {
				require.Contains(t, at, text, "seed %d, life %d: acknowledged and gone", seed, life)
			}
			for text, i := range at {
				var w, n, l int
				_, err := fmt.Sscanf(text, "life %d writer %d number %d", &l, &w, &n)
				require.NoError(t, err)
				if before, ok := at[fmt.Sprintf("life %d writer %d number %d", l, w, n-1)]; ok {
					require.Less(t, before, i, "seed %d: out of order", seed)
				}
			}
			var mu sync.Mutex
			var all sync.WaitGroup
			for w := range 3 {
				all.Go(func() {
					for n := range 20 {
						text := fmt.Sprintf("life %d writer %d number %d", life, w, n)
						mu.Lock()
						sent[text] = true
						mu.Unlock()
						if _, err := j.Append(context.Background(), []byte(text)); err != nil {
							return
						}
						mu.Lock()
						acked[text] = true
						mu.Unlock()
					}
				})
			}
			for mine := 0; mine < int(seed%40); {
				mu.Lock()
				mine = len(acked)
				done := len(sent) >= 60*(life+1)
				mu.Unlock()
				if done {
					break
				}
				runtime.Gosched()
			}
			disk.crash()
			all.Wait()
			_ = j.Close()
		}
	}
}

// After an fsync that failed nothing is promised any more, although the next one would succeed.
func TestAFailedFsyncBreaksTheJournal(t *testing.T) {
	disk := newCrashFiles(1)
	j, _ := open(t, Config{Files: disk})
	add(t, j, "kept")
	disk.failSync = errors.New("input/output error")
	_, err := j.Append(t.Context(), []byte("unknown"))
	require.ErrorIs(t, err, ErrBroken)
	require.ErrorContains(t, err, "input/output error")
	disk.failSync = nil
	_, err = j.Append(t.Context(), []byte("refused"))
	require.ErrorIs(t, err, ErrBroken)
	require.NoError(t, j.Close())
	disk.crash()
	j, found := open(t, Config{Files: disk})
	require.Equal(t, "kept", found[0])
	require.NotContains(t, found, "refused")
	require.NoError(t, j.Close())
}

func TestAFullDiskBreaksTheJournal(t *testing.T) {
	disk := newCrashFiles(1)
	j, _ := open(t, Config{Files: disk})
	add(t, j, "kept")
	disk.tornAt = 7
	_, err := j.Append(t.Context(), []byte("torn"))
	require.ErrorIs(t, err, ErrBroken)
	require.NoError(t, j.Close())
	disk.tornAt = 0
	j, found := open(t, Config{Files: disk})
	require.Equal(t, []string{"kept"}, found)
	add(t, j, "and on")
	require.NoError(t, j.Close())
	_, found = open2(t, disk)
	require.Equal(t, []string{"kept", "and on"}, found)
}

func open2(t *testing.T, disk *crashFiles) (*Journal, []string) {
	j, found := open(t, Config{Files: disk})
	require.NoError(t, j.Close())
	return j, found
}

// A durable record that can't be read any more is no torn tail: what was acknowledged is missing,
// and Open says so.
func TestDamageIsNoTornTail(t *testing.T) {
	disk := newCrashFiles(1)
	j, _ := open(t, Config{Files: disk})
	second := Position{}
	for i := range 4 {
		p := add(t, j, fmt.Sprint("record ", i))
		if i == 1 {
			second = p
		}
	}
	require.NoError(t, j.Close())
	file := disk.files[segmentName(1)]
	intact := append([]byte(nil), file.data...)
	for at := second.offset; at < second.offset+headBytes+8; at++ {
		for _, bit := range []byte{1, 0x80} {
			file.data = append([]byte(nil), intact...)
			file.data[at] ^= bit
			_, _, err := Open(Config{Files: disk})
			require.ErrorIs(t, err, ErrDamaged, "byte %d", at)
		}
	}
	for size := range len(intact) { // but a file may end anywhere
		file.data = intact[:size]
		found, err := readSegment(1, file.data)
		require.NoError(t, err)
		require.Len(t, found, size/(headBytes+8))
	}
}

// Of what a crash left behind a hole, only a record that says otherwise makes the hole a loss.
func TestAHoleThatWasNeverDurableIsNoDamage(t *testing.T) {
	one := encodeRecord([]byte("one"), 0)
	size := int64(len(one))
	for durable, damaged := range map[int64]bool{0: false, size: false, size + 1: true, 2 * size: true} {
		raw := append(append(append([]byte(nil), one...), one...), encodeRecord([]byte("end"), durable)...)
		clear(raw[size : size+5])
		found, err := readSegment(1, raw)
		require.Len(t, found, 1)
		require.Equal(t, damaged, errors.Is(err, ErrDamaged), "durable %d", durable)
	}
}

// A record claims no more to be durable than an fsync that ended before has covered: not what was
// written while it ran.
func TestRecordsClaimOnlyWhatIsDurable(t *testing.T) {
	disk := newCrashFiles(1)
	j, _ := open(t, Config{Files: disk})
	file := disk.files[segmentName(1)]
	file.mayBlock = make(chan struct{}) // an fsync for each that is sent
	done := map[string]chan error{}
	write := func(text string, n int) {
		done[text] = make(chan error, 1)
		go func() { _, err := j.Append(context.Background(), []byte(text)); done[text] <- err }()
		for j.Pending() < n {
			runtime.Gosched()
		}
	}
	write("a", 1)
	write("b", 2) // while the fsync for a runs
	file.mayBlock <- struct{}{}
	require.NoError(t, <-done["a"])
	write("c", 3)
	frame := len(encodeRecord([]byte("a"), 0))
	disk.mu.Lock()
	_, durable, ok := decodeRecord(file.data[2*frame:])
	disk.mu.Unlock()
	require.True(t, ok)
	require.EqualValues(t, frame, durable)
	close(file.mayBlock)
	require.NoError(t, <-done["b"])
	require.NoError(t, <-done["c"])
	require.NoError(t, j.Close())
}

// Those who come while an fsync runs share the next one.
func TestAppendsShareAnFsync(t *testing.T) {
	disk := newCrashFiles(1)
	j, _ := open(t, Config{Files: disk})
	file := disk.files[segmentName(1)]
	gate := make(chan struct{})
	disk.mu.Lock()
	file.mayBlock = gate
	disk.mu.Unlock()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _, err := j.Append(context.Background(), []byte("x")); require.NoError(t, err) })
	}
	for n := 0; n < 50; { // until all have written
		j.mu.Lock()
		n = len(j.current.open)
		j.mu.Unlock()
	}
	close(gate)
	all.Wait()
	require.LessOrEqual(t, file.syncs, 2)
	require.NoError(t, j.Close())
}

func TestWhoGivesUpLearnsThatNothingIsKnown(t *testing.T) {
	disk := newCrashFiles(1)
	j, _ := open(t, Config{Files: disk})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := j.Append(gone, []byte("never written"))
	require.ErrorIs(t, err, context.Canceled)

	gate := make(chan struct{})
	disk.files[segmentName(1)].mayBlock = gate
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { _, err := j.Append(ctx, []byte("written")); failed <- err }()
	for n := 0; n == 0; {
		n = j.Pending()
	}
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	close(gate)
	require.NoError(t, j.Close())
	_, found := open2(t, disk)
	require.Equal(t, []string{"written"}, found)
}

func FuzzReadSegment(f *testing.F) {
	f.Add(append(encodeRecord([]byte("a"), 0), encodeRecord([]byte("b"), 21)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		records, err := readSegment(1, raw)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
		}
		for _, r := range records {
			require.LessOrEqual(t, r.At.offset+headBytes+int64(len(r.Data)), int64(len(raw)))
		}
	})
}
