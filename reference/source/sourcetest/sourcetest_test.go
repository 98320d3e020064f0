package sourcetest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What readers copy keeps the rules.
func TestShelf(t *testing.T) {
	sourcetest.Run(t, func(*testing.T) source.Source { return newShelf() })
	sourcetest.RunFeed(t, func(*testing.T) (source.Source, source.Feed) { s := newShelf(); return s, s })
}
