// Underdrill drills real caches, each in a small service that uses it as its documentation shows,
// and writes docs/underdrill.md. It knows nothing of cachedrill but its command: the services are
// strangers to it, and it to them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "underdrill:", err)
		stop()
		os.Exit(1)
	}
}

// run is the program: a drill's service and its workers are the same program, by another name.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "service" {
		return launch(ctx)
	}
	if len(args) > 0 && args[0] == "worker" {
		return worker(ctx)
	}
	var (
		flags = flag.NewFlagSet("underdrill", flag.ExitOnError)
		only  = flags.String("only", "", "drill these caches alone, by name, with commas between; the others keep their last results")
		seeds = flags.Int("seeds", 3, "repeat each drill with so many seeds")
		lanes = flags.Int("lanes", 1, "drills that run at the same time")
		most  = flags.Duration("for", 2*time.Hour, "begin no drill after this time; the page says which are missing")
		tool  = flags.String("cachedrill", "", "the cachedrill to drill with (default: it is built)")
		out   = flags.String("out", "out", "folder of suites, reports and results")
		page  = flags.String("page", "../../docs/underdrill.md", "where the page goes")
		draw  = flags.Bool("page-only", false, "drill nothing: write the page from the results of the last runs")
	)
	_ = flags.Parse(args)
	dir, err := filepath.Abs(*out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	all, err := readResults(dir)
	if err != nil {
		return err
	}
	if !*draw {
		path, err := command(ctx, *tool, dir)
		if err != nil {
			return err
		}
		plan, err := plan(*only, *seeds)
		if err != nil {
			return err
		}
		began := time.Now()
		all.drill(ctx, path, dir, plan, *lanes, began.Add(*most))
		all.Took, all.Lanes, all.Seeds, all.Began = time.Since(began).Round(time.Second).String(), *lanes, *seeds, began.UTC()
		if err := all.write(dir); err != nil {
			return err
		}
	}
	return os.WriteFile(*page, []byte(all.page(versions(ctx))), 0o644)
}

// command is the cachedrill to drill with, by an absolute path.
func command(ctx context.Context, path, dir string) (string, error) {
	if path != "" {
		return filepath.Abs(path)
	}
	path = filepath.Join(dir, "cachedrill")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/cachedrill")
	build.Dir, build.Stderr = "../..", os.Stderr
	return path, build.Run()
}

// plan lists the drills: all of one seed before the next, so that a run that is cut short has
// something of every cache.
func plan(only string, seeds int) (all []sitting, err error) {
	wanted := map[string]bool{}
	for _, name := range strings.Split(only, ",") {
		if name = strings.TrimSpace(name); name != "" {
			if !known(name) {
				return nil, fmt.Errorf("there is no cache %q; there are %s", name, strings.Join(names(), ", "))
			}
			wanted[name] = true
		}
	}
	for seed := 1; seed <= seeds; seed++ {
		for _, c := range caches {
			if len(wanted) > 0 && !wanted[c.name] {
				continue
			}
			for processes := 1; processes <= 2; processes++ {
				for _, s := range situations {
					all = append(all, sitting{c, processes, s, uint64(seed)})
				}
			}
		}
	}
	return all, nil
}
