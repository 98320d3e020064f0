package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/tests/program"
)

// Each suite has a fault that lasts longer than anybody waits.
const interruptSuite = `
version: 1
target: {reference: {regions: {eu: 1, us: 1}, source: {service_time: 5ms}, families: {p: {class: bounded, within: 2s, ttl: 2s}}}}
workload: {rate: 200/s, mix: {p: {share: 100%, keys: 50, writes: 5%}}}
phases: {warmup: 300ms, steady: 300ms, fault: 60s, recovery: 2s}
slo: {fault: ["errors < 50%"]}
scenarios:
  restart: {faults: [{redis.restart: {region: eu, down: 60s}}]}
  split: {faults: [{region.split: {between: [eu, us], for: 60s}}]}
  delay: {faults: [{invalidation.delay: {by: 30s, for: 60s}}]}
`

// Ctrl-C in a terminal signals the whole foreground process group at once.
func TestCtrlCInTheMiddleOfAFault(t *testing.T) {
	redistest.Need(t)
	binary := program.Build(t)
	for scenario, bites := range map[string]string{
		"restart": "refused connections",
		"split":   "no answer through the proxies",
		"delay":   "FAULT",
	} {
		t.Run(scenario, func(t *testing.T) {
			tmp := t.TempDir()
			suite := filepath.Join(t.TempDir(), "suite.yaml")
			require.NoError(t, os.WriteFile(suite, []byte(interruptSuite), 0o644))
			cmd := exec.Command(binary, "run", scenario, "-f", suite, "--redis", "process")
			cmd.Env = append(os.Environ(), "TMPDIR="+tmp) // inherited by every child: how we find them
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			stderr, err := cmd.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }()

			var output strings.Builder
			lines := bufio.NewScanner(stderr)
			for lines.Scan() {
				output.WriteString(lines.Text() + "\n")
				if strings.Contains(lines.Text(), bites) {
					break
				}
			}
			require.Contains(t, output.String(), bites)
			require.GreaterOrEqual(t, len(program.WithEnvironment("TMPDIR="+tmp)), 4, "two proxies and two guards at least, besides the program")
			require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
			for lines.Scan() {
				output.WriteString(lines.Text() + "\n")
			}
			exited := make(chan error, 1)
			go func() { exited <- cmd.Wait() }()
			select {
			case <-exited:
			case <-time.After(60 * time.Second):
				t.Fatal("still running a minute after Ctrl-C:\n" + output.String())
			}
			require.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), output.String())
			require.Contains(t, output.String(), "healed and stopped")
			require.NotContains(t, output.String(), "not healed")
			require.Empty(t, program.WithEnvironment("TMPDIR="+tmp), "processes are left")
			left, err := os.ReadDir(tmp)
			require.NoError(t, err)
			require.Empty(t, left, "files are left")
		})
	}
}
