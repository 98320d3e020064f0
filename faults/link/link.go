// Package link holds the words for what can be done to a network link, and how several such wishes
// about one link add up. Whatever carries a link's traffic (a proxy, a wire in memory) follows
// them.
package link

import (
	"slices"
	"strings"
	"time"
)

// Mode is one thing that is done to a link.
type Mode struct {
	Kind      Kind
	Direction Direction     // of what the kind is done to; Refuse knows none
	By        time.Duration // Latency: how long bytes are held, in each direction
	Jitter    time.Duration // Latency: by how much that varies, both ways; at most By
	Rate      int64         // Bandwidth: bytes a second, in each direction; above 0
}

// Kind is what is done to a link.
type Kind uint8

// What can be done to a link.
const (
	Blackhole Kind = iota + 1 // bytes disappear; connections that lost some are closed afterwards
	Stall                     // bytes wait, and are delivered afterwards, also those given up by their sender
	Refuse                    // new connections are refused, present ones are cut
	Reset                     // connections end with a reset as soon as bytes move, new ones at once
	Latency                   // bytes are late
	Bandwidth                 // bytes are few
	HalfOpen                  // bytes disappear; connections that lost some stay silent for ever, and open
)

var kindNames = [...]string{
	Blackhole: "blackhole", Stall: "stall", Refuse: "refuse", Reset: "reset", Latency: "latency", Bandwidth: "bandwidth",
	HalfOpen: "halfopen",
}

// String gives the word that follows "network." in YAML.
func (k Kind) String() string { return kindNames[k] }

// Direction is which bytes of a link; the link's name shows from where to where.
type Direction string

// The directions of a link.
const (
	Both Direction = "both"
	Up   Direction = "up"   // sent by the side that dials
	Down Direction = "down" // sent by the side that was dialled
)

// Streams are the two directions, in the words that toxiproxy has for them.
var Streams = [...]string{"upstream", "downstream"}

// Has reports whether the direction includes a stream; "" is [Both].
func (d Direction) Has(stream string) bool {
	return d != Up && d != Down || strings.HasPrefix(stream, string(d))
}

// Least and Most are how much later an answer comes that passes each direction once.
func (m Mode) Least() time.Duration { return time.Duration(m.ways()) * (m.By - min(m.Jitter, m.By)) }

// Most is the upper end of [Mode.Least].
func (m Mode) Most() time.Duration { return time.Duration(m.ways()) * (m.By + min(m.Jitter, m.By)) }

// ways counts the directions that are meant.
func (m Mode) ways() (n int) {
	for _, stream := range Streams {
		if m.Direction.Has(stream) {
			n++
		}
	}
	return n
}

// Shape is what a link does with the bytes of one direction; the zero Shape lets them pass. As JSON
// it is what the proxies' toxic takes for its attributes.
type Shape struct {
	Drop   bool          `json:"drop"`   // bytes disappear
	Mute   bool          `json:"mute"`   // bytes disappear, and what loses some loses all from then on
	Deaf   bool          `json:"deaf"`   // with Mute: so does the other direction of that connection
	Stall  bool          `json:"stall"`  // bytes wait
	Reset  bool          `json:"reset"`  // connections end with a reset as soon as bytes move, new ones at once
	Delay  time.Duration `json:"delay"`  // how long bytes are held
	Jitter time.Duration `json:"jitter"` // by how much the delay varies, both ways; at most Delay
	Rate   int64         `json:"rate"`   // bytes a second; 0 = no limit
}

// State is everything that a link does.
type State struct {
	Refused bool
	Shapes  [len(Streams)]Shape
}

// Traffic is what has passed a link since it began.
type Traffic struct {
	Up, Down int64 // bytes, by who sent them: the side that dials, or the one that was dialled
	Own      int64 // of Up, at most: what the harness's own probes sent
	Open     int64 // connections that are open now
}

// Requests are what each owner wants of one link. The link does their sum: delays add up, the
// lowest rate holds, and what one of them wants cut is cut. The zero Requests want nothing.
type Requests []request

type request struct {
	owner any
	modes []Mode
}

// With gives the requests after an owner, any comparable value, has replaced its own: by none, when
// no modes are given.
func (r Requests) With(owner any, modes ...Mode) Requests {
	out := slices.DeleteFunc(slices.Clone(r), func(r request) bool { return r.owner == owner })
	if len(modes) > 0 {
		out = append(out, request{owner, slices.Clone(modes)})
	}
	return out
}

// Others reports whether another owner wants something.
func (r Requests) Others(owner any) bool {
	return slices.ContainsFunc(r, func(r request) bool { return r.owner != owner })
}

// Sum adds up what is wanted.
func (r Requests) Sum() State {
	var s State
	for _, one := range r {
		for _, m := range one.modes {
			s.Refused = s.Refused || m.Kind == Refuse
			for i, stream := range Streams {
				if m.Direction.Has(stream) {
					m.addTo(&s.Shapes[i])
				}
			}
		}
	}
	return s
}

func (m Mode) addTo(s *Shape) {
	switch m.Kind {
	case Blackhole:
		s.Drop = true
	case HalfOpen:
		s.Mute = true
		s.Deaf = s.Deaf || m.ways() == len(Streams)
	case Stall:
		s.Stall = true
	case Reset:
		s.Reset = true
	case Latency:
		s.Delay += m.By
		s.Jitter += min(m.Jitter, m.By)
	case Bandwidth:
		if s.Rate == 0 || m.Rate < s.Rate {
			s.Rate = m.Rate
		}
	}
}
