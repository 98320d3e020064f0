package proxy

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/reexec"
)

func TestMain(m *testing.M) {
	reexec.Main(Roles)
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // or each child built with -race takes a second to end
	goleak.VerifyTestMain(m)
}

// within is a generous deadline: a test that needs it has failed.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
