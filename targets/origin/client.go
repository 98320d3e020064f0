package origin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/targets"
)

// ErrRestarted says that the origin is not the one that was followed before: what it did not tell
// until then is lost, and its versions begin anew.
var ErrRestarted = errors.New("the origin was restarted")

// Batch is the events of one answer of an origin, in its order.
type Batch[E any] struct {
	Events []E
	Missed uint64 // events before these that the origin didn't keep: the follower was too late
	// Through is a time up to which every event was sent or missed.
	Through time.Duration
	// Within is by how much any time of the batch may be off.
	Within time.Duration
}

// SeenLoad is a [Load] with times on the clock of the harness. Key and Region are left to the
// caller, which knows what Path names.
type SeenLoad struct {
	targets.Load
	Path        string
	Status      int  // as of [Load]
	Conditional bool // it had an If-None-Match
}

// SeenCommit is a [Commit] with its time on the clock of the harness. Key and Token are left to the
// caller, which knows what Path names and how bodies carry tokens.
type SeenCommit struct {
	targets.Commit
	Path   string
	Size   int
	Body   *string // as of [Commit]
	SHA256 string
}

// Client follows an origin. [Client.Loads] and [Client.Commits] may run side by side.
type Client struct {
	base  string
	epoch time.Time
	http  *http.Client
	clock clock

	loads, commits cursor
}

// cursor is how far one of them is.
type cursor struct {
	origin string
	since  uint64
}

// NewClient makes a client for the origin whose --admin address is at the URL. Times will be
// offsets from epoch, which must come from [time.Now] unaltered. Its connections are made by dial;
// nil: as usual. It follows no redirect.
func NewClient(admin string, epoch time.Time, dial func(ctx context.Context, network, addr string) (net.Conn, error)) (*Client, error) {
	u, err := url.Parse(admin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the origin's admin address %q: a URL is needed, as in http://127.0.0.1:9001", admin)
	}
	asItIs := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		base: strings.TrimSuffix(admin, "/"), epoch: epoch,
		http: &http.Client{Transport: &http.Transport{DialContext: dial}, CheckRedirect: asItIs},
	}, nil
}

// Close closes what is idle. Calls under way end with their contexts.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Loads tells every load from the origin's first on, as far as it kept them, until ctx ends or tell
// returns an error. It returns that error, ctx's, [ErrRestarted], or why the origin could not be
// asked; called again, it goes on where it was.
func (c *Client) Loads(ctx context.Context, tell func(Batch[SeenLoad]) error) error {
	return follow(ctx, c, "loads", &c.loads, tell, func(l Load, at func(int64) time.Duration) SeenLoad {
		return SeenLoad{
			Load: targets.Load{
				Arrived: at(l.Arrived), Done: at(l.Done), Version: l.Version, Check: l.Head, Width: l.Width, Audit: l.Audit,
				Queued: time.Duration(l.Queued),
			},
			Path: l.Path, Status: l.Status, Conditional: l.Conditional,
		}
	})
}

// Commits tells every commit from the origin's first on, as Loads tells loads.
func (c *Client) Commits(ctx context.Context, tell func(Batch[SeenCommit]) error) error {
	return follow(ctx, c, "commits", &c.commits, tell, func(e Commit, at func(int64) time.Duration) SeenCommit {
		return SeenCommit{
			Commit: targets.Commit{Version: e.Version, Deleted: e.Deleted, At: at(e.At)},
			Path:   e.Path, Size: e.Size, Body: e.Body, SHA256: e.SHA256,
		}
	})
}

// follow asks for events, again and again.
func follow[E, S any](ctx context.Context, c *Client, what string, at *cursor, tell func(Batch[S]) error,
	see func(E, func(int64) time.Duration) S) error {
	for {
		p, events, err := poll[E](ctx, c, what, at)
		if err != nil {
			return err
		}
		m := c.clock.mapping()
		b := Batch[S]{Missed: p.Missed}
		oldest := p.Through
		for _, e := range events {
			b.Events = append(b.Events, see(e, func(ns int64) time.Duration {
				oldest = min(oldest, ns)
				return m.at(ns)
			}))
		}
		b.Within = m.within + loose(time.Duration(p.Now-oldest))
		b.Through = m.at(p.Through) - b.Within
		if err := tell(b); err != nil {
			return err
		}
		at.origin, at.since = p.Origin, p.Next
	}
}

// clientWait is how long the origin may have no news before it answers all the same: it also keeps
// the clocks' bounds tight.
const clientWait = time.Second

func poll[E any](ctx context.Context, c *Client, what string, at *cursor) (p page, events []E, err error) {
	ask, cancel := context.WithTimeout(ctx, clientWait+10*time.Second)
	defer cancel()
	fail := func(err error) (page, []E, error) {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return page{}, nil, fmt.Errorf("following the %s of the origin at %s: %w", what, c.base, err)
	}
	req, err := http.NewRequestWithContext(ask, http.MethodGet, fmt.Sprintf("%s/%s?since=%d&wait=%v", c.base, what, at.since, clientWait), nil)
	if err != nil {
		return fail(err)
	}
	sent := time.Since(c.epoch)
	res, err := c.http.Do(req)
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return fail(ErrRestarted)
	case res.StatusCode != http.StatusOK:
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		return fail(fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(text))))
	}
	lines := json.NewDecoder(res.Body)
	if err := lines.Decode(&p); err != nil {
		return fail(fmt.Errorf("its answer has no first line: %w", err))
	}
	back := time.Since(c.epoch)
	if at.origin != "" && p.Origin != at.origin {
		return fail(ErrRestarted)
	}
	c.clock.see(sent, p.Came, p.Now, back, p.Origin)
	for {
		var e E
		switch err := lines.Decode(&e); {
		case errors.Is(err, io.EOF):
			return p, events, nil
		case err != nil:
			return fail(fmt.Errorf("its answer broke off: %w", err))
		}
		events = append(events, e)
	}
}
