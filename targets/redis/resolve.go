package redis

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

const works = "auto, embedded and process work"

// Resolve reads the name of a backend as users write it, settles auto, and says why the report
// should name that one, e.g. "process: redis-server 7.0.15 at /usr/bin/redis-server". The error of
// a name that can't be had says which can.
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

// Roles are the children that nodes start; main and every TestMain hand them to [reexec.Main].
var Roles = map[string]reexec.Role{guardRole: guard}

// New makes a node that is not started yet. name stands for it in errors, e.g. "redis@eu". It fails
// for backends that this machine or this build does not have.
func New(b Backend, name string) (Node, error) {
	b, _, err := Resolve(string(b))
	if err != nil {
		return nil, err
	}
	return All().Open(b, name, Config{})
}
