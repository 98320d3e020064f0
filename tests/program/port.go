package program

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
)

// lastPort starts at another number in each run of a test binary, as process ids do.
var lastPort atomic.Uint32

func init() { lastPort.Store(uint32(os.Getpid()) * 37) }

// Ports that connections don't get by themselves (they begin at 32768): none takes one before the
// program that it is for does.
const (
	firstPort = 20000
	ports     = 10000
)

// FreePort returns a loopback port that nothing listens on, another one at each call.
func FreePort() string {
	for {
		port := strconv.Itoa(firstPort + int(lastPort.Add(1))%ports)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil && l.Close() == nil {
			return port
		}
	}
}
