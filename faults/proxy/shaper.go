package proxy

import (
	"encoding/json"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"

	"github.com/cachedrill/cachedrill/faults/link"
)

// shaper is the toxic that every direction of every proxy has, from the first connection to the
// last. The toxics that come with toxiproxy must be added and removed, and that can hang for ever:
// one that is about to hand on bytes for a connection whose client has gone can't be interrupted,
// and is waited for under the lock that letting go of the connection needs. This one is never
// removed, only given another [flow], and can be interrupted whatever it is doing: it keeps what it
// has not handed on.
type shaper struct {
	now    atomic.Pointer[flow]
	passed atomic.Int64 // bytes that came in, whatever became of them
	open   atomic.Int64 // connections
}

// shaperToxic is the shaper's name in toxiproxy.
const shaperToxic = "shaper"

// flow is the shape of one direction, as toxiproxy takes it for the attributes of a toxic.
type flow struct {
	link.Shape
	Listen string `json:"listen"` // of the proxy
}

// connStream is what the shaper keeps of one direction of one connection.
type connStream struct {
	begun bool
	held  *stream.StreamChunk // read and not yet handed on
	last  time.Time           // when the one before was handed on, at the earliest: bytes don't overtake each other
	lossy bool                // something is missing: what comes afterwards must not be handed on
	mute  bool                // something is missing, and the connection goes on as if nothing were

	deaf *atomic.Bool // shared with the other direction: both are mute
}

// pairs are the connections of which one direction has begun, by where their proxy listens. A proxy
// begins both directions of a connection one after the other, before those of the next.
var pairs sync.Map

// pair gives what both directions of a connection share.
func pair(listen string) *atomic.Bool {
	if other, begun := pairs.LoadAndDelete(listen); begun {
		return other.(*atomic.Bool)
	}
	shared := new(atomic.Bool)
	pairs.Store(listen, shared)
	return shared
}

// GetBufferSize is how many chunks wait for the shaper: as many as for toxiproxy's own latency, or
// the first that is held would hold up the sender.
func (*shaper) GetBufferSize() int { return 1024 }

// NewState is called for each connection.
func (s *shaper) NewState() any {
	s.open.Add(1)
	return &connStream{deaf: pair(s.flow().Listen)}
}

func (s *shaper) UnmarshalJSON(text []byte) error {
	var f flow
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	had := s.now.Swap(&f)
	if was := had != nil && had.Reset; was != f.Reset {
		endWithReset(f.Listen, f.Reset)
	}
	return nil
}

func (s *shaper) MarshalJSON() ([]byte, error) {
	return json.Marshal(shown{s.flow(), s.passed.Load(), s.open.Load()})
}

// shown is what the shaper tells of itself.
type shown struct {
	flow
	Passed int64 `json:"passed"`
	Open   int64 `json:"open"`
}

func (s *shaper) flow() flow {
	if f := s.now.Load(); f != nil {
		return *f
	}
	return flow{}
}

// Pipe hands bytes on until it is interrupted, which happens at every change of the flow, or the
// connection ends.
func (s *shaper) Pipe(stub *toxics.ToxicStub) {
	p, f := stub.State.(*connStream), s.flow()
	silent := func() bool { return p.mute || p.deaf.Load() }
	switch {
	case f.Reset && !p.begun:
		endWithReset(f.Listen, true)
		s.end(stub)
		return
	case p.lossy && !f.Drop && !silent():
		s.end(stub)
		return
	}
	p.begun = true
	for {
		if p.held == nil {
			select {
			case <-stub.Interrupt:
				return
			case p.held = <-stub.Input:
				if p.held == nil {
					if silent() { // that it ended is lost too
						<-stub.Interrupt
						return
					}
					s.end(stub)
					return
				}
				s.passed.Add(int64(len(p.held.Data)))
			}
		}
		if silent() {
			p.held = nil
			continue
		}
		if f.Reset {
			s.end(stub)
			return
		}
		if f.Mute {
			p.held, p.mute = nil, true
			if f.Deaf {
				p.deaf.Store(true)
			}
			continue
		}
		if f.Drop {
			p.held, p.lossy = nil, true
			continue
		}
		if f.Stall {
			<-stub.Interrupt
			return
		}
		if !s.handOn(stub, p, f) {
			return
		}
	}
}

// end closes one direction of a connection.
func (s *shaper) end(stub *toxics.ToxicStub) {
	s.open.Add(-1)
	stub.Close()
}

// handOn hands on what is held, when it is due; false when it was interrupted.
func (s *shaper) handOn(stub *toxics.ToxicStub, p *connStream, f flow) bool {
	chunk, rest := p.held, (*stream.StreamChunk)(nil)
	due := chunk.Timestamp
	if f.Delay > 0 {
		due = due.Add(f.Delay)
		if f.Jitter > 0 {
			due = due.Add(time.Duration(rand.Int64N(2*int64(f.Jitter)+1)) - f.Jitter)
		}
	}
	if due.Before(p.last) {
		due = p.last
	}
	if f.Rate > 0 {
		// A tenth of a second's worth at a time, so that a large chunk trickles.
		if some := int(max(f.Rate/10, 1)); len(chunk.Data) > some {
			rest = &stream.StreamChunk{Data: chunk.Data[some:], Timestamp: chunk.Timestamp}
			chunk = &stream.StreamChunk{Data: chunk.Data[:some], Timestamp: chunk.Timestamp}
		}
		if now := time.Now(); due.Before(now) {
			due = now
		}
		due = due.Add(time.Duration(len(chunk.Data)) * time.Second / time.Duration(f.Rate))
	}
	if left := time.Until(due); left > 0 {
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-stub.Interrupt:
			t.Stop()
			return false
		}
	}
	select {
	case stub.Output <- chunk:
		p.held, p.last = rest, due
		return true
	case <-stub.Interrupt:
		return false
	}
}

// endWithReset decides how the connections of a proxy's clients will end when they are closed: with
// a reset (RST) or, as usual, in order. toxiproxy sets this at a connection's beginning only and
// shows no connections; but they are this process's own open files.
func endWithReset(listen string, reset bool) {
	at, err := netip.ParseAddrPort(listen)
	if err != nil {
		return
	}
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	linger := syscall.Linger{}
	if reset {
		linger.Onoff = 1
	}
	for _, f := range open {
		fd, err := strconv.Atoi(f.Name())
		if err != nil {
			continue
		}
		name, err := syscall.Getsockname(fd)
		if err != nil || !isAt(name, at) {
			continue
		}
		_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &linger)
	}
}

func isAt(name syscall.Sockaddr, at netip.AddrPort) bool {
	var ip net.IP
	var port int
	switch s := name.(type) {
	case *syscall.SockaddrInet4:
		ip, port = s.Addr[:], s.Port
	case *syscall.SockaddrInet6:
		ip, port = s.Addr[:], s.Port
	default:
		return false
	}
	have, _ := netip.AddrFromSlice(ip)
	return port == int(at.Port()) && (at.Addr().IsUnspecified() || have.Unmap() == at.Addr().Unmap())
}
