package http

import (
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// What this program runs out of is named, with the limit and how to raise it, and is no failure of
// the service's.
func TestOurOwnFilesRunOut(t *testing.T) {
	if os.Getenv("CACHEDRILL_FEW_FILES") == "" {
		cmd := exec.Command("sh", "-c", `ulimit -n 40 && exec "$0" -test.run '^TestOurOwnFilesRunOut$' -test.v`, os.Args[0])
		cmd.Env = append(os.Environ(), "CACHEDRILL_FEW_FILES=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	srv := httptest.NewServer(nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) {}))
	defer srv.Close()
	s := limitedClient(t, srv.URL, "")
	require.Empty(t, s.Short())
	var held []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			require.ErrorIs(t, err, syscall.EMFILE)
			break
		}
		held = append(held, f)
	}
	_, err := s.Do(t.Context(), targets.Request{Kind: targets.Write, Key: items(1)[0], Token: targets.NewToken("f00dcafe", 1, items(1)[0])})
	for _, f := range held {
		_ = f.Close()
	}
	require.ErrorIs(t, err, targets.ErrNotApplied)
	require.Contains(t, s.Short(), "1 requests were not sent, because cachedrill itself ran out of files: this program may open 40 at once")
	require.Contains(t, s.Short(), "ulimit -n 4096")
}

// A token that runs out is named; a service that always refuses, and one that never does, are not.
func TestTokensThatRunOut(t *testing.T) {
	n := atomic.Int64{}
	for from, says := range map[int64]string{5: "the first a 401 after 4 good ones", 1: "", 100: ""} {
		n.Store(0)
		srv := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, _ *nethttp.Request) {
			if n.Add(1) >= from {
				w.WriteHeader(nethttp.StatusUnauthorized)
			}
		}))
		s := limitedClient(t, srv.URL, "")
		for range 10 {
			_, _ = s.Do(t.Context(), targets.Request{Key: items(1)[0]})
		}
		if says == "" {
			require.Empty(t, s.Denied())
		} else {
			require.Contains(t, s.Denied(), says)
		}
		srv.Close()
	}
}
