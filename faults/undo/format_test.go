package undo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Journals on disk keep their format: these lines are what each kind of fault is noted as.
const noted = `{"id":"A","at":"2026-11-01T10:00:00Z","pid":1,"fault":"keys.flush{region: eu}","undo":{"kind":"impossible","why":"keys that were deleted can't be brought back","redis":{"addr":"127.0.0.1:1","own":true}}}
{"id":"B","at":"2026-11-01T10:00:01Z","pid":1,"fault":"network.refuse{edge: source, for: 1s}","undo":{"kind":"nothing","why":"the network proxies ended with the process that had injected it"}}
{"id":"C","at":"2026-11-01T10:00:02Z","pid":1,"fault":"redis.kill{region: eu, down: 1h0m0s}","undo":{"kind":"start","redis":{"addr":"ADDR","db":3,"user":""},"command":["false"]}}
{"id":"D","at":"2026-11-01T10:00:03Z","pid":1,"fault":"keys.expire{family: product, share: 100%}","undo":{"kind":"armed keys"}}
{"id":"D","at":"2026-11-01T10:00:04Z","pid":1,"fault":"keys.expire{family: product, share: 100%}","undo":{"kind":"armed keys","redis":{"addr":"127.0.0.1:1","own":true},"armed":1,"keys":["cHJvZHVjdDox"],"own":[0]}}
{"id":"E","at":"2026-11-01T10:00:05Z","pid":1,"fault":"redis.restart{region: eu, down: 1s}","undo":{"kind":"nothing","why":"x"}}
{"id":"E","at":"2026-11-01T10:00:06Z","pid":1,"fault":"redis.restart{region: eu, down: 1s}","healed":true}
`

func TestJournalsKeepTheirFormat(t *testing.T) {
	m := miniredis.RunT(t)
	path := filepath.Join(t.TempDir(), JournalFile)
	text := []byte(strings.ReplaceAll(noted, "ADDR", m.Addr()))
	require.NoError(t, os.WriteFile(path, text, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got, err := Repair(ctx, path, "", nil)
	require.NoError(t, err)
	var lines []string
	for _, r := range got {
		lines = append(lines, fmt.Sprintf("%s: %s: %s", r.Fault, r.Outcome, r.Detail))
	}
	require.Equal(t, []string{
		"keys.expire{family: product, share: 100%}: nothing to undo: 127.0.0.1:1 db 0 was the process's own Redis, and ended with it",
		"redis.kill{region: eu, down: 1h0m0s}: nothing to undo: the Redis at " + m.Addr() + " db 3 answers",
		"network.refuse{edge: source, for: 1s}: nothing to undo: the network proxies ended with the process that had injected it",
		"keys.flush{region: eu}: can't be undone: keys that were deleted can't be brought back",
	}, lines)
	got, err = Repair(ctx, path, "", nil)
	require.NoError(t, err)
	require.Empty(t, got)
}
