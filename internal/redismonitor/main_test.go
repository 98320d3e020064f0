package redismonitor

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/redistest"
)

func TestMain(m *testing.M) {
	redistest.Main()
	goleak.VerifyTestMain(m)
}
