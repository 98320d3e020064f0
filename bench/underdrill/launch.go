package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	//go:embed python/worker.py
	workerPy []byte
	//go:embed nginx.conf
	nginxConf string
	//go:embed varnish.vcl
	varnishVCL string
)

// launch runs what a drill starts: the source, and a process of the cache at each address of
// LISTEN, until it is told to end or one of them ends.
func launch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "underdrill-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // Varnish compiles its rules as a user of its own
		return err
	}
	ended := errors.New("a process of the service ended")
	var all sync.WaitGroup
	failed := make(chan error, 8)
	start := func(name string, args []string, env ...string) {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env = append(os.Environ(), env...)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 2 * time.Second
		all.Add(1)
		go func() {
			defer all.Done()
			err := cmd.Run()
			failed <- fmt.Errorf("%w: %s: %w", ended, filepath.Base(name), errors.Join(err, context.Cause(ctx)))
		}()
	}
	start(os.Getenv("CACHEDRILL"), []string{
		"origin", "--listen", os.Getenv("ORIGIN"), "--admin", os.Getenv("ORIGIN_ADMIN"),
		"--service-time", "20ms", "--distribution", "exponential", "--cache-control", os.Getenv("CACHE_CONTROL"),
	})
	if err := await(ctx, "http://"+os.Getenv("ORIGIN_ADMIN")+"/healthz"); err != nil {
		cancel()
		all.Wait()
		return err
	}
	for i, at := range strings.Split(os.Getenv("LISTEN"), ",") {
		own := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(own, 0o755); err != nil {
			return err
		}
		name, args, err := process(own, at)
		if err != nil {
			return err
		}
		start(name, args, "LISTEN="+at)
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
		err = nil
	}
	cancel()
	all.Wait()
	return err
}

// await asks until the source answers: a worker that is ready has a source.
func await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the source: %w", errors.Join(ctx.Err(), err))
		}
	}
}

// process is the command of one process of the cache, which listens at an address and may write
// into a folder of its own.
func process(dir, listen string) (name string, args []string, err error) {
	host, port, _ := strings.Cut(os.Getenv("SOURCE"), ":")
	fill := strings.NewReplacer("@LISTEN@", listen, "@SOURCE@", os.Getenv("SOURCE"), "@HOST@", host, "@PORT@", port)
	put := func(name, text string) (path string) {
		path = filepath.Join(dir, name)
		err = errors.Join(err, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	switch os.Getenv("CACHE") {
	case "dogpile", "django", "flask-caching", "cachetools":
		return "/usr/bin/python3", []string{put("worker.py", string(workerPy))}, err
	case "nginx":
		user := ""
		if os.Getuid() == 0 {
			user = "user root;" // its workers would not get into the folder otherwise
		}
		conf := put("nginx.conf", strings.ReplaceAll(fill.Replace(nginxConf), "@USER@", user))
		return program("nginx"), []string{"-e", "stderr", "-p", dir, "-c", conf, "-g", "daemon off;"}, err
	case "varnish":
		vcl := put("default.vcl", fill.Replace(varnishVCL))
		return program("varnishd"), []string{"-F", "-n", dir, "-a", listen, "-f", vcl, "-s", "malloc,64m", "-T", "none", "-p", "thread_pools=1"}, err
	}
	self, err := os.Executable()
	return self, []string{"worker"}, err
}

// program also looks where Debian has servers, and users' PATH does not.
func program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return "/usr/sbin/" + name
}
