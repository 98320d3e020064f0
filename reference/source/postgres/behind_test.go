package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/reference/journal"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/writebehind"
)

// writerFolder has the writer write behind, with its journal in that folder.
const writerFolder = "CACHEDRILL_PG_WRITER_FOLDER"

func openBehind(ctx context.Context, s *Source, folder string) (*writebehind.Writer, error) {
	return writebehind.Open(ctx, writebehind.Config{Realm: "crash", Files: journal.Folder(folder), Source: s, Region: "eu", Policy: policy.Recommended()})
}

// writeBehind tells each write's token after it was acknowledged, until it is killed.
func writeBehind(s *Source, folder string) {
	b, err := openBehind(context.Background(), s, folder)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for w := range crashWriters {
		go func() {
			for i := 0; ; i++ {
				token := fmt.Sprintf("%s/%d/%d", os.Getenv(writerRound), w, i)
				n := key.Name{Family: "crash", ID: strconv.Itoa((w + i) % crashNames)}
				if _, err := b.Put(context.Background(), n, []byte("value of "+token), token); err == nil {
					_, _ = os.Stdout.WriteString("ack " + token + "\n")
				} else {
					time.Sleep(time.Millisecond) // the source is away, or has too much to do
				}
			}
		}()
	}
	select {}
}

// What was acknowledged before the source had it survives kill -9 of its owner in the middle of
// writes, and of the source: the next owner finds it in the journal, and brings it to the source
// once. CACHEDRILL_SOAK=1 runs 50 rounds.
func TestWritesBehindSurviveKills(t *testing.T) {
	rounds := 3
	if os.Getenv("CACHEDRILL_SOAK") != "" {
		rounds = 50
	}
	c := pgtest.Shared(t)
	url, folder := c.Database(t), t.TempDir()
	s := open(t, Config{URL: url})
	acked, waited := map[string]bool{}, 0
	for round := range rounds {
		p := startWriter(t, url, round, writerFolder+"="+folder)
		p.wrote(t, 1+rand.IntN(300))
		if round%2 == 1 {
			require.NoError(t, c.Kill())
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			require.NoError(t, c.Restart(t.Context()))
			p.wrote(t, 50)
		}
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		tokens, _ := p.kill()
		for _, token := range tokens {
			acked[token] = true
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b, err := openBehind(ctx, s, folder)
	require.NoError(t, err)
	waited = b.Pending()
	require.NoError(t, b.Drained(ctx))
	require.NoError(t, b.Close())
	times, newest := map[string]int{}, map[key.Name]source.Entry{}
	tip, err := s.Tip(ctx)
	require.NoError(t, err)
	for at := uint64(0); at < tip; {
		entries, err := s.Next(ctx, at, 0)
		require.NoError(t, err)
		for _, e := range entries {
			require.Greater(t, e.Version, newest[e.Name].Version, "versions come in their order")
			newest[e.Name], at = e, e.Index
			times[e.Token]++
			require.Equal(t, 1, times[e.Token], "%s is there more than once", e.Token)
		}
	}
	for token := range acked {
		require.Equal(t, 1, times[token], "%s was acknowledged, and is lost", token)
	}
	t.Logf("%d rounds: %d writes acknowledged; the last owner found %d in the journal", rounds, len(acked), waited)

	_, err = openBehind(ctx, s, t.TempDir())
	require.ErrorIs(t, err, source.ErrOwned, "another journal can't go on")
}
