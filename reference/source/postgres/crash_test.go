package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

const (
	writerEnv    = "CACHEDRILL_PG_WRITER" // has this binary write through a source, at the URL that it holds, until it is killed
	writerRound  = "CACHEDRILL_PG_WRITER_ROUND"
	crashWriters = 16
	crashNames   = 6 // few: most writes wait for another
)

// writeUntilKilled tells each write's token on a line of its own: "ack" after it was acknowledged,
// "no" after it was refused as without effect. It ends by itself only when its parent has.
func writeUntilKilled() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	s, err := Open(context.Background(), Config{URL: os.Getenv(writerEnv)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if folder := os.Getenv(writerFolder); folder != "" {
		writeBehind(s, folder)
	}
	for w := range crashWriters {
		go func() {
			for i := 0; ; i++ {
				token := fmt.Sprintf("%s/%d/%d", os.Getenv(writerRound), w, i)
				n := key.Name{Family: "crash", ID: strconv.Itoa((w + i) % crashNames)}
				by := source.Caller{Region: "eu"}
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				if i%8 == 7 {
					by.Fence = token
					_ = s.Fence(ctx, n, token, true, by)
				}
				_, err := s.Store(ctx, n, []byte("value of "+token), token, by)
				cancel()
				line := ""
				switch {
				case err == nil:
					line = "ack " + token + "\n"
				case errors.Is(err, source.ErrNotApplied):
					line = "no " + token + "\n"
					if !errors.Is(err, source.ErrFenced) {
						time.Sleep(time.Millisecond) // the server is away
					}
				}
				_, _ = os.Stdout.WriteString(line) // one write: whole, or not at all
			}
		}()
	}
	select {}
}

// Acknowledged writes survive kill -9 of the service in the middle of writes, and of the whole of
// PostgreSQL; what was acknowledged as without effect has none. CACHEDRILL_SOAK=1 runs 50 rounds.
func TestAcknowledgedWritesSurviveKills(t *testing.T) {
	rounds := 3
	if os.Getenv("CACHEDRILL_SOAK") != "" {
		rounds = 50
	}
	c := pgtest.Shared(t)
	url := c.Database(t)
	open(t, Config{URL: url}).Close() // the tables
	acked, refused := map[string]bool{}, map[string]bool{}
	killedServers := 0
	for round := range rounds {
		p := startWriter(t, url, round)
		p.wrote(t, 1+rand.IntN(300))
		if round%2 == 1 {
			killedServers++
			require.NoError(t, c.Kill())
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			require.NoError(t, c.Restart(t.Context()))
			p.wrote(t, 50) // it recovers, in the same process
		}
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		a, r := p.kill()
		require.NotEmpty(t, a)
		for _, token := range a {
			acked[token] = true
		}
		for _, token := range r {
			refused[token] = true
		}
		requireHistory(t, url, acked, refused)
	}
	t.Logf("%d rounds, in %d of them PostgreSQL was killed too: %d writes acknowledged, %d refused", rounds, killedServers, len(acked), len(refused))
}

// requireHistory holds what the database has to what the writers printed.
func requireHistory(t *testing.T, url string, acked, refused map[string]bool) {
	t.Helper()
	s, err := Open(t.Context(), Config{URL: url})
	require.NoError(t, err)
	defer s.Close()
	tip, err := s.Tip(t.Context())
	require.NoError(t, err)
	times := map[string]int{}
	newest := map[key.Name]source.Entry{}
	for at := uint64(0); at < tip; {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		entries, err := s.Next(ctx, at, 0)
		cancel()
		require.NoError(t, err)
		for _, e := range entries {
			require.Equal(t, newest[e.Name].Version+1, e.Version, "versions are dense, and in the feed's order")
			newest[e.Name], at = e, e.Index
			times[e.Token]++
			require.Equal(t, 1, times[e.Token], "%s is there more than once", e.Token)
			require.False(t, refused[e.Token], "%s was refused as without effect", e.Token)
		}
	}
	for token := range acked {
		require.Equal(t, 1, times[token], "%s was acknowledged, and is lost", token)
	}
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	for n, e := range newest {
		var version uint64
		var token, value string
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT version, token, convert_from(value, 'UTF8') FROM cachedrill.entry AS e WHERE family = $1 AND id = $2",
			n.Family, n.ID).Scan(&version, &token, &value))
		require.Equal(t, e.Version, version, "the row is that of its newest version")
		require.Equal(t, e.Token, token)
		require.Equal(t, "value of "+e.Token, value)
	}
}

// writer is a child that writes until it is killed.
type writer struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{} // its output has

	mu             sync.Mutex
	acked, refused []string
}

func startWriter(t *testing.T, url string, round int, env ...string) *writer {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &writer{cmd: exec.Command(self), ended: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), writerEnv+"="+url, writerRound+"="+strconv.Itoa(round)), env...)
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.ended)
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return // what was cut off was not printed
			}
			what, token, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			p.mu.Lock()
			if what == "ack" {
				p.acked = append(p.acked, token)
			} else {
				p.refused = append(p.refused, token)
			}
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

// wrote waits until so many more writes were acknowledged.
func (p *writer) wrote(t *testing.T, more int) {
	t.Helper()
	count := func() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.acked) }
	from := count()
	require.Eventually(t, func() bool { return count() >= from+more }, 2*patience, time.Millisecond, "the writer doesn't write")
}

func (p *writer) kill() (acked, refused []string) {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
	_ = p.cmd.Wait()
	_ = p.stdin.Close()
	return p.acked, p.refused
}
