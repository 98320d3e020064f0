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
)

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

// debugGated says whether DEBUG is refused unless a flag allows it, which is so, and the flag
// known, from Redis 7 on.
func (p program) debugGated() bool {
	major, err := strconv.Atoi(strings.SplitN(p.version, ".", 2)[0])
	return err == nil && major >= 7
}

// versionLine matches "Redis server v=7.0.15 sha=..." and "Valkey server v=8.0.1 sha=...".
var versionLine = regexp.MustCompile(`(?i)(redis|valkey) server v=(\d[\w.-]*)`)

const versionTimeout = 5 * time.Second

// findServer looks on PATH for a server that tells its version. Some distributions ship
// redis-server as another name of valkey-server, hence the product is taken from what the program
// says.
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
		return program{}, fmt.Errorf("asking %s for its version: it printed %.80q", path, out)
	}
	return program{path: path, product: strings.ToLower(string(m[1])), version: string(m[2])}, nil
}
