package drill

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/measure"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets/redis"
	"github.com/cachedrill/cachedrill/targets/service"
)

// steppedRedis puts a redis-server in front of the one on PATH whose wall clock can be stepped.
func steppedRedis(t *testing.T) (step func(seconds int64)) {
	real, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no redis-server on PATH: scripts/setup installs it")
		}
		t.Skip("no redis-server on PATH: make test installs it where it can")
	}
	dir := t.TempDir()
	shim, file := filepath.Join(dir, "step.so"), filepath.Join(dir, "offset")
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", shim, "testdata/step.c").CombinedOutput()
	require.NoError(t, err, "the race detector needs a C compiler, and so does this: %s", out)
	require.NoError(t, os.WriteFile(file, make([]byte, 8), 0o600))
	script := fmt.Sprintf("#!/bin/sh\nLD_PRELOAD='%s' STEP_FILE='%s' exec '%s' \"$@\"\n", shim, file, real)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "redis-server"), []byte(script), 0o700))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func(seconds int64) {
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.Write(binary.LittleEndian.AppendUint64(nil, uint64(seconds)))
			_ = f.Close()
		}
		if err != nil {
			t.Errorf("stepping the clock: %v", err)
		}
	}
}

// requireStepped sees that a Redis of this kind does take its time from the clock that can be
// stepped.
func requireStepped(t *testing.T, step func(int64)) {
	node, err := redis.New(redis.Process, "redis@clock")
	require.NoError(t, err)
	defer func() { require.NoError(t, node.Close()) }()
	require.NoError(t, node.Start(t.Context()))
	step(3600)
	at, err := node.Client().Time(t.Context()).Result()
	require.NoError(t, err)
	require.InDelta(t, 3600, time.Until(at).Seconds(), 60)
	step(0)
}

// The wall clock of a real Redis jumps ahead by an hour in the middle of a fault, so that every key
// expires, and back by two, so that keys live for hours too long. The verdicts stay what they are.
func TestSteppedWallClockChangesNoVerdict(t *testing.T) {
	step := steppedRedis(t)
	requireStepped(t, step)
	sc := variant{}.scenario(t)
	for name, want := range map[string]slo.Outcome{"recommended": slo.Pass, "naive": slo.Fail} {
		var s report.Drill
		for try := 1; try <= 5; try++ { // a machine that others use can make a drill unknown
			step(0)
			var steps atomic.Int64
			progress := func(e Event) {
				w, is := e.(Window)
				if is && w.Phase == measure.Fault {
					step([]int64{3600, -3600}[min(steps.Add(1)-1, 1)])
				}
			}
			res, err := RunIn(t.Context(), sc, environment.New, environment.Options{Policy: service.Presets()[name], Backend: redis.Process, Seed: 11},
				Options{Policy: name, Seed: 11, Events: watched(t, progress)})
			require.NoError(t, err)
			require.Positive(t, steps.Load(), "the clock was never stepped")
			if s = res.Scenario; s.Outcome != slo.Unknown {
				break
			}
		}
		require.Equal(t, want, s.Outcome, "%s: %s", name, s.Why)
		require.Equal(t, name == "naive", s.Oracle.Violations["strong"] > 0)
	}
}
