package redismonitor

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	dialLimit = 2 * time.Second
	again     = 100 * time.Millisecond
	longest   = 1 << 20 // bytes of a line; a longer one is passed over
)

// Options say where a Redis is, and who we are there.
type Options struct {
	Network, Addr      string // "": tcp
	Username, Password string
	TLS                *tls.Config // nil: none
	// Dial makes the connection; nil: as usual.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Recorder listens to a Redis, over a connection of its own, until it is closed. It keeps what
// [Locks] does, and no commands.
type Recorder struct {
	options Options
	prefix  string
	start   time.Time
	stop    context.CancelFunc
	done    chan struct{}

	mu    sync.Mutex
	locks *Locks
	shift time.Duration // from the clock of the Redis to the time since start, at most
	known bool
	gaps  int
	why   string
}

// Listen begins. Only keys that begin with prefix are looked at. It returns when the Redis has
// begun to tell, or an error.
func Listen(ctx context.Context, o Options, prefix string) (*Recorder, error) {
	r := &Recorder{options: o, prefix: prefix, start: time.Now(), locks: NewLocks(), done: make(chan struct{})}
	conn, in, err := r.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("listening to the Redis (MONITOR): %w", err)
	}
	own, stop := context.WithCancel(context.Background())
	r.stop = stop
	go r.run(own, conn, in)
	return r, nil
}

// dial opens a connection that tells.
func (r *Recorder) dial(ctx context.Context) (net.Conn, *bufio.Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	connect := r.options.Dial
	if connect == nil {
		connect = (&net.Dialer{}).DialContext
	}
	conn, err := connect(ctx, cmp.Or(r.options.Network, "tcp"), r.options.Addr)
	if err != nil {
		return nil, nil, err
	}
	if r.options.TLS != nil {
		conn = tls.Client(conn, r.options.TLS)
	}
	end, _ := ctx.Deadline()
	_ = conn.SetDeadline(end)
	in := bufio.NewReaderSize(conn, 64<<10)
	for _, words := range r.greeting() {
		if err := ask(conn, in, words); err != nil {
			conn.Close()
			return nil, nil, err
		}
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, in, nil
}

// greeting is what the Redis sends before the commands.
func (r *Recorder) greeting() [][]string {
	var out [][]string
	user, password := r.options.Username, r.options.Password
	switch {
	case user != "":
		out = append(out, []string{"AUTH", user, password})
	case password != "":
		out = append(out, []string{"AUTH", password})
	}
	return append(out, []string{"MONITOR"})
}

// ask says something whose answer is one line, +OK.
func ask(conn net.Conn, in *bufio.Reader, words []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := conn.Write([]byte(b.String())); err != nil {
		return err
	}
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "+OK") {
		return fmt.Errorf("%s: %s", words[0], strings.TrimSpace(strings.TrimPrefix(line, "-")))
	}
	return nil
}

func (r *Recorder) run(ctx context.Context, conn net.Conn, in *bufio.Reader) {
	defer close(r.done)
	for {
		unblock := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		err := r.listen(in)
		unblock()
		conn.Close()
		if ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		r.gaps++
		r.why = err.Error()
		r.locks.Forget()
		r.mu.Unlock()
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(again):
			}
			if conn, in, err = r.dial(ctx); err == nil {
				break
			}
		}
	}
}

// listen takes lines in until there are no more.
func (r *Recorder) listen(in *bufio.Reader) error {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line) <= longest {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return err
		}
		if len(line) <= longest {
			r.take(strings.TrimSpace(strings.TrimPrefix(string(line), "+")))
		}
		line = line[:0]
	}
}

func (r *Recorder) take(line string) {
	now := time.Since(r.start)
	c, err := Parse(line)
	if err != nil {
		return // the end of a long line, or a kind of its own: nothing about locks
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := now - c.At; !r.known || s < r.shift {
		r.known, r.shift = true, s // what took least on its way shows the clocks' difference best
	}
	if len(c.Words) < 2 || strings.HasPrefix(c.Words[1], r.prefix) {
		r.locks.See(c)
	}
}

// Close ends it.
func (r *Recorder) Close() {
	r.stop()
	<-r.done
}

// Found is what was heard.
type Found struct {
	Thefts []Theft
	Shared bool          // connections are shared, so that owners are unknown
	Gaps   int           // how often the Redis stopped telling
	Why    string        // of the last one
	Shift  time.Duration // makes times of the Redis offsets from the epoch, when added
}

// Found gives what was heard so far.
func (r *Recorder) Found(epoch time.Time) Found {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Found{Thefts: r.locks.Thefts(), Shared: r.locks.Shared(), Gaps: r.gaps, Why: r.why, Shift: r.shift + r.start.Sub(epoch)}
}
