// Package program builds the cachedrill command and runs it, for tests that look at it from
// outside.
package program

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report"
)

const importPath = "github.com/cachedrill/cachedrill/cmd/cachedrill"

var built struct {
	sync.Mutex
	dir, path string
	err       error
}

// Build compiles the command as its users do, without the race detector, once for each test binary,
// and returns its path. [Main] removes it.
func Build(t testing.TB) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.dir == "" {
		built.dir, built.path, built.err = compile()
	}
	require.NoError(t, built.err)
	return built.path
}

func compile() (dir, path string, err error) {
	if dir, err = os.MkdirTemp("", "cachedrill-built-"); err != nil {
		return dir, "", err
	}
	path = filepath.Join(dir, "cachedrill")
	if out, err := exec.Command("go", "build", "-o", path, importPath).CombinedOutput(); err != nil {
		return dir, "", fmt.Errorf("go build %s: %w\n%s", importPath, err, out)
	}
	return dir, path, nil
}

// Main runs the tests of a binary and then removes what [Build] made. It returns the exit code.
func Main(m interface{ Run() int }) int {
	defer func() {
		if built.dir != "" {
			_ = os.RemoveAll(built.dir)
		}
	}()
	return m.Run()
}

// Drill runs `cachedrill run` with args and returns its report. Any verdict is accepted; a command
// that printed no report, or whose exit code is not its report's outcome, fails the test. A drill
// that a busy machine made unknown is repeated by the command itself, up to eight times; one that
// failed never is.
func Drill(t testing.TB, args ...string) report.Report {
	t.Helper()
	cmd := exec.Command(Build(t), append([]string{"run", "--quiet", "--json", "--retry-unknown", "8"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var code *exec.ExitError
	if err != nil && !errors.As(err, &code) {
		require.NoError(t, err)
	}
	lines := bytes.Split(bytes.TrimSpace(stdout.Bytes()), []byte("\n"))
	var last struct{ Report report.Report } // the others are events
	require.NoError(t, json.Unmarshal(lines[len(lines)-1], &last), stderr.String())
	r := last.Report
	require.Equal(t, r.Outcome.ExitCode(), cmd.ProcessState.ExitCode(), stderr.String())
	for _, s := range r.Scenarios {
		t.Logf("%-20s %-7s attempts %d  late p99 %.1fms  %s", s.Name, s.Outcome, max(1, s.Attempts), s.Generator.LatenessMS.P99, s.Why)
	}
	return r
}

// Explain is the summary of a report that the command prints.
func Explain(r report.Report) string {
	var b strings.Builder
	_ = report.Text(&b, r, report.TextOptions{})
	return b.String()
}

// WithEnvironment lists the ids of the running processes whose environment has the variable, given
// as NAME=value. Children inherit it: it finds what a command has left running.
func WithEnvironment(variable string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for kv := range strings.SplitSeq(string(b), "\x00") {
			if kv == variable {
				found = append(found, filepath.Base(filepath.Dir(f)))
			}
		}
	}
	return found
}
