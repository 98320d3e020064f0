package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/tests/program"
)

var update = flag.Bool("update", false, "write what the command prints now into the scripts and the README")

// Every subcommand has a script in testdata/script: commands, their exit codes, and what they
// print. The folder testdata/drill has those that drill for a few seconds. Go tests beside them
// hold what takes more than a script.
//
//	go test ./cmd/cachedrill -run TestScripts/run -update
//
// runs one and writes what is printed now into it. Beyond testscript's own, scripts have the
// commands
//
//	exits CODE PROGRAM ARGS...           runs it and compares the exit code
//	interrupt TEXT CODE PROGRAM ARGS...  sends SIGINT once TEXT was printed
//	masked FILE TO [figures]             copies with what varies masked, see [mask]; FILE may be stdout or stderr
//	port WORD FILE                       writes a free port for WORD into a file
func TestScripts(t *testing.T) { runScripts(t, "testdata/script") }

func TestDrillScripts(t *testing.T) { runScripts(t, "testdata/drill") }

func runScripts(t *testing.T, dir string) {
	binary := program.Build(t)
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("REPO", root)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "interrupt": interrupt, "masked": masked, "port": port},
	})
}

func usage(ts *testscript.TestScript, wrong bool, text string) {
	if wrong {
		ts.Fatalf("usage: %s", text)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2, "exits CODE PROGRAM ARGS...")
	code := 0
	var ended *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &ended) {
		code = ended.ExitCode()
	} else if err != nil {
		ts.Fatalf("running %s: %v", args[1], err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("it ended with exit code %d, not %s", code, args[0])
	}
}

// interrupt writes what the program printed into the files stdout.txt and stderr.txt.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 3, "interrupt TEXT CODE PROGRAM ARGS...")
	out, err := os.Create(ts.MkAbs("stdout.txt"))
	ts.Check(err)
	defer out.Close()
	errs, err := os.Create(ts.MkAbs("stderr.txt"))
	ts.Check(err)
	defer errs.Close()
	program, err := exec.LookPath(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[2]))
	ts.Check(err)
	cmd := exec.Command(program, args[3:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), out, errs
	cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	ts.Check(cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	seen := func() bool {
		printed, _ := os.ReadFile(out.Name())
		logged, _ := os.ReadFile(errs.Name())
		return strings.Contains(string(printed)+string(logged), args[0])
	}
	tick, limit := time.NewTicker(5*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for sent := false; ; {
		select {
		case <-tick.C:
			if !sent && seen() {
				ts.Check(cmd.Process.Signal(syscall.SIGINT))
				sent = true
			}
			continue
		case <-limit:
			_ = cmd.Process.Kill()
			<-ended
			ts.Fatalf("it did not end within a minute; interrupted: %v", sent)
		case <-ended:
		}
		if code := strconv.Itoa(cmd.ProcessState.ExitCode()); !sent || code != args[1] {
			ts.Fatalf("it ended with exit code %s, not %s; interrupted: %v\n%s", code, args[1], sent, ts.ReadFile("stderr.txt"))
		}
		return
	}
}

func masked(ts *testscript.TestScript, neg bool, args []string) {
	figures := len(args) == 3 && args[2] == "figures"
	usage(ts, neg || len(args) != 2 && !figures, "masked FILE TO [figures]")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(mask(ts.ReadFile(args[0]), figures)), 0o644))
}

// port takes one below those that connections get by themselves, so that none takes it before the
// program does.
func port(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "port WORD FILE")
	text := strings.ReplaceAll(ts.ReadFile(args[1]), args[0], program.FreePort())
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o644))
}
