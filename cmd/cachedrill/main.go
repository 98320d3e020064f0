// Command cachedrill runs fire drills for caches: it drives a cache-backed service with load,
// breaks the cache the way production does, judges every read and write against the truth, and says
// with a verdict whether the service kept its objectives.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	goredis "github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/cachedrill/cachedrill/faults/proxy"
	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/internal/supervise"
	"github.com/cachedrill/cachedrill/targets/redis"
)

func main() {
	reexec.Main(roles())
	// That a Redis can't be dialled is what drills are about; the client would log every attempt.
	goredis.SetLogger(silent{})
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // generator and target share this process: memory is cheaper here than pauses
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// roles are what this program does in processes of its own.
func roles() map[string]reexec.Role {
	all := map[string]reexec.Role{}
	maps.Copy(all, redis.Roles)
	maps.Copy(all, proxy.Roles)
	maps.Copy(all, supervise.Roles)
	return all
}

// run is the whole program: arguments in, exit code out.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand(stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitPass
	}
	var e exit
	if !errors.As(err, &e) {
		e = exit{exitUsage, err}
	}
	if e.err != nil {
		fmt.Fprintln(stderr, secret.Redact(e.err.Error()))
	}
	return e.code
}

func rootCommand(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "cachedrill",
		Short: "Fire drills for caches",
		Long: `cachedrill drives a cache-backed service with load, breaks its cache the way production does, judges
every read and write against the truth, and says whether the service kept its objectives.

Begin with:
  cachedrill run                  drill the service that comes with cachedrill; nothing to install
  cachedrill run --policy naive   see what a plain TTL cache does in the same drills
  cachedrill init                 write scenarios.yaml, to change it
  cachedrill init --target http   write a suite for a service of yours

Exit codes: 0 pass, 1 fail, 2 usage or configuration, 3 unknown (not enough was seen to judge),
130 interrupted, everything healed.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(runCommand(), checkCommand(), listCommand(), validateCommand(), initCommand(), faultsCommand(), reportCommand(),
		contractCommand(), serveCommand(), originCommand(), healCommand())
	return root
}
