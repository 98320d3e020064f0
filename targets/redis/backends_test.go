package redis

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults"
)

// Every row declares everything, and what its servers declare of themselves is the row.
func TestBackendsDeclareEverything(t *testing.T) {
	needServer(t)
	for _, spec := range All() {
		for _, c := range []Config{{URL: "redis://127.0.0.1:1/3"}, spec.Full} {
			if spec.Name == URL {
				c.URL = "redis://127.0.0.1:1/3"
			}
			n, err := All().Open(spec.Name, "redis@test", c)
			require.NoError(t, err)
			require.Equal(t, spec.Lifetime(c), n.Lifetime())
			require.NotEqual(t, faults.Lifetime{}, n.Lifetime())
			require.Equal(t, spec.Capabilities(c), n.Capabilities())
			for _, capability := range faults.ServerCapabilities {
				require.Contains(t, n.Capabilities(), capability, "%s", spec.Name)
				if !n.Capabilities()[capability].Possible() {
					require.Contains(t, spec.Needs, capability, "the table shows what %s needs", spec.Name)
				}
			}
			require.NoError(t, n.Close())
		}
	}
}

func TestBackendsTable(t *testing.T) {
	require.Equal(t, "| backend | what it is | stop and start | kill and start | change keys |\n"+
		"| --- | --- | --- | --- | --- |\n"+
		"| `embedded` | miniredis within the drill's own process | yes | yes | yes |\n"+
		"| `process` | redis-server or valkey-server of this machine, which the drill starts | yes | yes | yes |\n"+
		"| `url` | a server that its owner runs | with `stop: [...], start: [...]` | with `kill: [...], start: [...]` | with `key_prefix: \"shop:drill:\"` |\n",
		All().Markdown())
	require.Empty(t, All().Lacks(Auto, Config{}))
	require.Contains(t, All().Lacks(URL, Config{Stop: []string{"x"}})[faults.CanStop], "the suite does not give the commands to restart it")
}

// A Redis of its owner's does what the owner's commands do.
func TestAnOwnedRedis(t *testing.T) {
	dir := t.TempDir()
	touch := func(name string) []string { return []string{"touch", name} }
	c := Config{URL: "redis://somebody:secret@127.0.0.1:1/3", Stop: touch("stopped"), Dir: dir}
	n, err := All().Open(URL, "the Redis", c)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	require.NoError(t, n.Stop(soon(t)))
	require.FileExists(t, dir+"/stopped")
	for _, err := range []error{n.Start(soon(t)), n.Kill(soon(t)), n.Pause(soon(t)), n.Resume(soon(t))} {
		require.ErrorIs(t, err, errors.ErrUnsupported)
	}
	require.Equal(t, "127.0.0.1:1", n.Location().Addr)
	require.Equal(t, 3, n.Location().DB)
	require.Empty(t, n.Location().User, "a user stands in no journal")
	require.Error(t, n.Ping(soon(t)))
	_, err = All().Open(URL, "the Redis", Config{URL: "redis://x:secret@[/"})
	require.ErrorContains(t, err, "the Redis: its url can't be read; in a user")
	require.NotContains(t, err.Error(), "secret")
}
