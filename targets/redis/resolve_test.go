package redis

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// onPath makes PATH a directory with these programs, each a script that says what is given.
func onPath(t *testing.T, says map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, what := range says {
		body := "#!/bin/sh\necho '" + what + "'\n"
		if what == "" {
			body = "#!/bin/sh\nexit 1\n"
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(body), 0o755))
	}
	t.Setenv("PATH", dir)
	return dir
}

func TestResolve(t *testing.T) {
	const (
		redis7  = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"
		valkey8 = "Valkey server v=8.0.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"
	)
	for _, c := range []struct {
		name  string
		path  map[string]string
		want  Backend // "": an error
		says  []string
		never string
	}{
		{name: "auto", path: map[string]string{"redis-server": redis7}, want: Process, says: []string{"process: redis-server 7.0.15 at DIR/redis-server"}},
		{name: "auto", path: map[string]string{"valkey-server": valkey8}, want: Process, says: []string{"process: valkey-server 8.0.1 at DIR/valkey-server"}},
		{name: "auto", path: map[string]string{"redis-server": "", "valkey-server": valkey8}, want: Process, says: []string{"valkey-server 8.0.1"}},
		{name: "auto", path: map[string]string{"redis-server": valkey8}, want: Process, says: []string{"process: valkey-server 8.0.1 at DIR/redis-server"}},
		{name: "auto", want: Embedded, says: []string{"embedded: miniredis", "neither redis-server nor valkey-server is on PATH"}},
		{name: "auto", path: map[string]string{"redis-server": ""}, want: Embedded, says: []string{"embedded: ", "DIR/redis-server", "exit status 1"}},
		{name: "auto", path: map[string]string{"redis-server": "hello"}, want: Embedded, says: []string{`it printed "hello`}},
		{name: "process", path: map[string]string{"redis-server": redis7}, want: Process, says: []string{"redis-server 7.0.15"}},
		{name: "process", says: []string{"backend process: neither", "embedded needs no server"}},
		{name: "embedded", path: map[string]string{"redis-server": redis7}, want: Embedded, says: []string{"embedded: miniredis"}},
		{name: "container", says: []string{"container", "auto, embedded and process work"}},
		{name: "url", says: []string{"url", "auto, embedded and process work"}},
		{name: "redis://:secret@db.example.com:6379/0", says: []string{"at an address", "auto, embedded and process work"}, never: "secret"},
		{name: "localhost:6379", says: []string{"at an address"}},
		{name: "embeded", says: []string{`"embeded"`, "did you mean embedded?"}},
		{name: "Process", says: []string{"did you mean process?"}},
		{name: "memcached", says: []string{`"memcached"`, "auto, embedded and process work"}, never: "did you mean"},
		{name: "", says: []string{`redis backend ""`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := onPath(t, c.path)
			got, why, err := Resolve(c.name)
			if c.want == "" {
				require.Error(t, err)
				why = err.Error()
				_, err = New(Backend(c.name), "redis@test")
				require.EqualError(t, err, why, "New refuses what Resolve refuses")
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, c.want, got)
			for _, s := range c.says {
				require.Contains(t, why, strings.ReplaceAll(s, "DIR", dir))
			}
			if c.never != "" {
				require.NotContains(t, why, c.never)
			}
		})
	}
}

func TestPortsBesidesTheEphemeralOnes(t *testing.T) {
	for file, want := range map[string][2]int{
		"32768\t60999\n": {10240, 32768},
		"10000\t30000\n": {30001, 65536},
		"1024\t65535\n":  {10240, 32768}, // no room: whatever is free
		"gibberish":      {10240, 32768},
	} {
		low, high := portsBesides(func(string) ([]byte, error) { return []byte(file), nil })
		require.Equal(t, want, [2]int{low, high}, file)
	}
	low, high := portsBesides(func(string) ([]byte, error) { return nil, os.ErrNotExist })
	require.Equal(t, [2]int{10240, 32768}, [2]int{low, high})
	port, err := freePort()
	require.NoError(t, err)
	low, high = portsBesides(os.ReadFile)
	require.True(t, low <= port && port < high, port)
}
