package sourcetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

var n17 = key.Name{Family: "product", ID: "17"}

var anonymous source.Caller

func load(t *testing.T, s source.Source, n key.Name) source.Record {
	t.Helper()
	r, err := s.Load(t.Context(), n, anonymous)
	require.NoError(t, err)
	return r
}

func store(t *testing.T, s source.Source, n key.Name, value string) source.Record {
	t.Helper()
	r, err := s.Store(t.Context(), n, []byte(value), "token of "+value, anonymous)
	require.NoError(t, err)
	return r
}

func audit(t *testing.T, s source.Source, n key.Name) source.Record {
	t.Helper()
	r, err := s.Load(t.Context(), n, source.Caller{Audit: true})
	require.NoError(t, err)
	return r
}
