package redis

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

const works = "auto, embedded and process work"

// Resolve reads the name of a backend as users write it, settles auto, and says why the report should
// name that one, e.g. "process: redis-server 7.0.15 at /usr/bin/redis-server". The error of a name that
// can't be had says which can.
func Resolve(name string) (Backend, string, error) {
	switch Backend(name) {
	case Embedded:
		return Embedded, "embedded: " + miniredisVersion() + " in this process", nil
	case Process:
		s, err := findServer()
		if err != nil {
			return "", "", fmt.Errorf("redis backend process: %w; embedded needs no server", err)
		}
		return Process, "process: " + s.String(), nil
	case Auto:
		s, err := findServer()
		if err != nil {
			return Embedded, fmt.Sprintf("embedded: %s in this process (%v)", miniredisVersion(), err), nil
		}
		return Process, "process: " + s.String(), nil
	case "container":
		return "", "", errors.New("redis backend container: this version can't start containers; " + works)
	case "url":
		return "", "", errors.New("redis backend url: this version can't use a Redis of yours; " + works)
	}
	if strings.Contains(name, "://") || strings.ContainsRune(name, ':') {
		// The name is left out of the error: URLs hold passwords.
		return "", "", errors.New("redis backend: this version can't use a Redis at an address of yours; " + works)
	}
	hint := strictyaml.Nearest(strings.ToLower(name), []string{string(Auto), string(Embedded), string(Process)})
	if hint != "" {
		hint = fmt.Sprintf("did you mean %s? ", hint)
	}
	return "", "", fmt.Errorf("redis backend %q: there is none of that name; %s%s", name, hint, works)
}

// program is a server program on this machine.
type program struct {
	path    string
	product string // "redis" or "valkey"
	version string
}

// String gives it as the report shows it.
func (p program) String() string {
	return fmt.Sprintf("%s-server %s at %s", p.product, p.version, p.path)
}

// debugGated says whether DEBUG is refused unless a flag allows it, which is so, and the flag known,
// from Redis 7 on.
func (p program) debugGated() bool {
	major, err := strconv.Atoi(strings.SplitN(p.version, ".", 2)[0])
	return err == nil && major >= 7
}

// versionLine matches "Redis server v=7.0.15 sha=..." and "Valkey server v=8.0.1 sha=...".
var versionLine = regexp.MustCompile(`(?i)(redis|valkey) server v=(\d[\w.-]*)`)

const versionTimeout = 5 * time.Second

// findServer looks on PATH for a server that tells its version. Some distributions ship redis-server as
// another name of valkey-server, hence the product is taken from what the program says.
func findServer() (program, error) {
	var broken error
	for _, name := range []string{"redis-server", "valkey-server"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			return program{}, fmt.Errorf("locating %s: %w", name, err)
		}
		p, err := identify(path)
		if err == nil {
			return p, nil
		}
		broken = errors.Join(broken, err)
	}
	if broken != nil {
		return program{}, broken
	}
	return program{}, errors.New("neither redis-server nor valkey-server is on PATH")
}

func identify(path string) (program, error) {
	ctx, cancel := context.WithTimeout(context.Background(), versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return program{}, fmt.Errorf("asking %s for its version: %w", path, err)
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return program{}, fmt.Errorf("asking %s for its version: it said %.80q", path, out)
	}
	return program{path: path, product: strings.ToLower(string(m[1])), version: string(m[2])}, nil
}
