// Package redis is where a Redis comes from: a server process of this machine, one embedded in
// ours, or one that its owner runs. All stand behind one [Node]; [All] is the table of what each
// can do. Those that we start keep one address over restarts, come up empty every time, and leave
// nothing behind: no process, no port, no file, however we ended.
package redis

import (
	"context"
	"net"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/targets"
)

// Node is one Redis. Its methods may be called concurrently; those that change its state wait for
// each other for as long as their ctx allows.
//
// A server that ended by itself is no stopped server: Identity and Start say so and why, until Stop
// or Kill, which return that too, have acknowledged it.
type Node interface {
	// Server is how faults handle it: what ends it and what it can do are declared by its backend.
	faults.Server

	// Start brings a stopped server up, empty, and returns once it answers. The first Start picks a
	// free port of the loopback interface; every later one uses the same again. It is an error when
	// the server is running already.
	Start(ctx context.Context) error
	// Stop ends the server in an orderly way; its data is lost. When it returns nil the address
	// refuses connections. A ctx that ends meanwhile turns it into a kill.
	Stop(ctx context.Context) error
	// Kill ends the server without letting it do anything more, by SIGKILL where it is a process.
	// When it returns nil the address refuses connections.
	Kill(ctx context.Context) error
	// Pause stops the server's process where it stands (SIGSTOP): its address accepts connections
	// and answers nothing. The embedded backend can't: errors.ErrUnsupported.
	Pause(ctx context.Context) error
	// Resume lets a paused server run on; of one that isn't paused it changes nothing.
	Resume(ctx context.Context) error
	// Addr is 127.0.0.1:port, or "" before the first Start has chosen the port.
	Addr() string
	// Client is connected directly, past every proxy, without retries, and honours the deadlines of
	// contexts. It is the same over all restarts, is usable from New on, and belongs to the node.
	Client() *goredis.Client
	// Keys are the keys of its database, reached past every proxy.
	Keys() faults.Keys
	// Identity asks the server itself which one it is, and fails when another one answers.
	Identity(ctx context.Context) (targets.RedisIdentity, error)
	// Close ends the server in whatever state it is, removes its files and closes the client. It
	// may be called more than once; nothing can be started afterwards.
	Close() error
}

// Backend is the name of a kind of place where a Redis comes from.
type Backend string

// The backends.
const (
	Auto     Backend = "auto"     // process when a server is on PATH, else embedded
	Embedded Backend = "embedded" // miniredis within this process, in real time
	Process  Backend = "process"  // redis-server or valkey-server, a process under a guard
	URL      Backend = "url"      // a server that its owner runs, at an address
)

// Config is what a suite gives about one Redis. The zero Config will do for those that a drill
// starts.
type Config struct {
	URL               string   // where it runs
	Login             string   // the variables of the environment that its user and password come from, as in a URL: ${USER}:${PASSWORD}
	Start, Stop, Kill []string // commands of its owner; each a program and its arguments
	Dir               string   // where they run
	KeyPrefix         string   // what the keys begin with that faults may touch; "": any
	// Dial makes connections to it, as [net.Dialer.DialContext] does; nil: so.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// facts are what a node declares of itself. It is a row of the table of [All] for its Config.
type facts struct {
	lifetime     faults.Lifetime
	capabilities faults.Capabilities
}

// Lifetime implements [faults.ServerFacts].
func (f facts) Lifetime() faults.Lifetime { return f.lifetime }

// Capabilities implements [faults.ServerFacts].
func (f facts) Capabilities() faults.Capabilities { return f.capabilities }
