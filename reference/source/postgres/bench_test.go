package postgres

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/reference/key"
)

func BenchmarkStore(b *testing.B) {
	url := pgtest.Shared(b).Database(b) + "&pool_max_conns=16"
	s, err := Open(b.Context(), Config{URL: url})
	require.NoError(b, err)
	b.Cleanup(s.Close)
	for name, names := range map[string]uint64{"one name": 1, "1000 names": 1000} {
		b.Run(name, func(b *testing.B) {
			var i atomic.Uint64
			b.SetParallelism(8)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					k := i.Add(1)
					if _, err := s.Store(b.Context(), key.Name{ID: fmt.Sprint(k % names)}, []byte("value"), fmt.Sprint(k), anonymous); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	s, err := Open(b.Context(), Config{URL: pgtest.Shared(b).Database(b) + "&pool_max_conns=16"})
	require.NoError(b, err)
	b.Cleanup(s.Close)
	_, err = s.Store(b.Context(), n17, make([]byte, 1000), "x", anonymous)
	require.NoError(b, err)
	b.SetParallelism(8)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.Load(b.Context(), n17, anonymous); err != nil {
				b.Error(err)
			}
		}
	})
}
