package source_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/source/sourcetest"
)

func TestModelConforms(t *testing.T) {
	for name, cfg := range map[string]source.ModelConfig{
		"at once":          {Servers: 4},
		"queueing":         {Servers: 2, ServiceTime: 20 * time.Microsecond, WriteTime: 20 * time.Microsecond},
		"serves abandoned": {Servers: 4, ServeAbandoned: true},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) source.Source { return openModel(t, cfg) })
		})
	}
}

func TestLogConforms(t *testing.T) {
	sourcetest.RunFeed(t, func(t *testing.T) (source.Source, source.Feed) {
		m := openModel(t, source.ModelConfig{Servers: 4})
		return m, m.Log()
	})
}

func openModel(t *testing.T, cfg source.ModelConfig) *source.Model {
	start := time.Now()
	cfg.Now = func() int64 { return int64(time.Since(start)) }
	m, err := source.NewModel(cfg)
	require.NoError(t, err)
	t.Cleanup(m.Close)
	return m
}
