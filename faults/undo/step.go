package undo

import "fmt"

// Step is what undoes a fault, in data alone: the process that reads it knows nothing of the one
// that wrote it. Make one with [Nothing], [Lost], [StartAgain], [ArmedNone] or [Armed].
type Step struct {
	Kind kind   `json:"kind"`
	Why  string `json:"why,omitempty"` // there is nothing to undo, or nothing that could

	Redis *Server `json:"redis,omitempty"`

	// Of armed keys: Keys[i] had the expiry Own[i] (0: none) before it got Armed, all in Unix ms on
	// the server's clock. Names may be any bytes.
	Armed int64    `json:"armed,omitempty"`
	Keys  [][]byte `json:"keys,omitempty"`
	Own   []int64  `json:"own,omitempty"`

	Command []string `json:"command,omitempty"` // starts the Redis, and returns; none: its owner must
}

// kind is what is to be done; the words are those of journals on disk.
type kind string

const (
	kindArmed   kind = "armed keys"
	kindStart   kind = "start"
	kindNothing kind = "nothing"    // it ends with the process that injected it
	kindLost    kind = "impossible" // what was lost stays lost
)

// Nothing is the step of a fault that ends with the process that injected it; why is shown.
func Nothing(why string) Step { return Step{Kind: kindNothing, Why: why} }

// Lost is the step of a fault whose loss can't be undone; why is shown.
func Lost(of *Server, why string) Step { return Step{Kind: kindLost, Redis: of, Why: why} }

// StartAgain is the step of a server that was ended and outlives this process: a command that
// starts it and returns; without one its owner must start it.
func StartAgain(s *Server, command []string) Step {
	return Step{Kind: kindStart, Redis: s, Command: command}
}

// ArmedNone notes that keys are about to be given another expiry, and none has been yet.
func ArmedNone() Step { return Step{Kind: kindArmed} }

// Armed is the step of keys that got the expiry armed instead of their own ones (0: none), in Unix
// ms on the server's clock.
func Armed(s *Server, armed int64, keys []string, own []int64) Step {
	u := Step{Kind: kindArmed, Redis: s, Armed: armed, Own: own}
	for _, k := range keys {
		u.Keys = append(u.Keys, []byte(k))
	}
	return u
}

// Server is where a Redis is. It holds neither a user nor a password.
type Server struct {
	Addr string `json:"addr"`
	DB   int    `json:"db,omitempty"`
	User string `json:"user,omitempty"` // of older journals
	// Login names the variables of the environment that user and password come from, as they stand
	// in a URL: ${USER}:${PASSWORD}, or ${REDIS_URL}.
	Login string `json:"login,omitempty"`
	TLS   bool   `json:"tls,omitempty"`
	Own   bool   `json:"own,omitempty"` // it ends with the process that wrote this
}

func (s Server) String() string { return fmt.Sprintf("%s db %d", s.Addr, s.DB) }
