package invalidation

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/cachedrill/cachedrill/reference/traffic"
)

// A pull waits at the peer for news, and gives up when the peer is silent for longer.
const (
	pullWait    = 250 * time.Millisecond
	pullTimeout = 600 * time.Millisecond
	pullRetry   = 25 * time.Millisecond
)

type batch struct {
	Next   uint64  `json:"next"`
	Events []Event `json:"events"`
}

// ServeHTTP is the relay's face to its peers. GET /feed?after=N answers with the commits of the
// relay's own region after log position N, waiting a moment for the first; GET /healthz with 200.
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch req.URL.Path {
	case "/healthz":
		w.WriteHeader(http.StatusOK)
		return
	case "/feed":
	default:
		http.NotFound(w, req)
		return
	}
	after, err := strconv.ParseUint(req.URL.Query().Get("after"), 10, 64)
	if err != nil {
		http.Error(w, "after: a log position is needed", http.StatusBadRequest)
		return
	}
	next, events, err := r.Pull(req.Context(), after)
	if err != nil {
		http.Error(w, "the source's commits can't be read", http.StatusServiceUnavailable)
		return
	}
	writeBatch(w, batch{Next: next, Events: events})
}

// Pull gives the commits of the relay's own region after a log position, waiting a moment for the
// first, and the position up to which that is all. It makes a relay the [Peer] of another in the
// same process.
func (r *Relay) Pull(ctx context.Context, after uint64) (next uint64, events []Event, err error) {
	moment, cancel := context.WithTimeout(ctx, pullWait)
	defer cancel()
	for {
		next, events, err = r.own(moment, after)
		switch {
		case ctx.Err() != nil:
			return after, nil, ctx.Err()
		case err != nil && moment.Err() == nil:
			return after, nil, err
		case moment.Err() != nil || len(events) > 0: // also while other regions' commits never cease
			return next, events, nil
		}
		after = next
	}
}

func writeBatch(w http.ResponseWriter, b batch) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(b) // a peer that went away asks again from the same position
}

// pull follows one peer's feed.
func (r *Relay) pull(ctx context.Context, region string, peer Peer) error {
	defer peer.Close()
	at := uint64(0)
	for ctx.Err() == nil {
		next, events, err := peer.Pull(ctx, at)
		if err == nil {
			at = next
			r.enqueue(region, next, events)
			continue
		}
		select {
		case <-time.After(pullRetry):
		case <-ctx.Done():
		}
	}
	return nil
}

// HTTPPeer is a [Peer] behind its HTTP face.
type HTTPPeer struct {
	base      string
	transport *http.Transport
	client    *http.Client
	traffic   traffic.Counter
}

// NewHTTPPeer makes the peer whose relay serves at a base URL, without a slash at its end:
// "http://relay.us:8080/relay". With https the certificate is checked against those that the
// machine trusts.
func NewHTTPPeer(base string) *HTTPPeer {
	p := &HTTPPeer{base: base}
	p.transport = &http.Transport{MaxIdleConnsPerHost: 1, DialContext: p.traffic.Dial((&net.Dialer{}).DialContext)}
	p.client = &http.Client{Transport: p.transport, Timeout: pullTimeout}
	return p
}

// Bytes is how many went to the peer and came from it so far.
func (p *HTTPPeer) Bytes() int64 { return p.traffic.Bytes() }

// Close implements [Peer].
func (p *HTTPPeer) Close() { p.transport.CloseIdleConnections() }

// Pull implements [Peer].
func (p *HTTPPeer) Pull(ctx context.Context, after uint64) (uint64, []Event, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/feed?after=%d", p.base, after), nil)
	if err != nil {
		return 0, nil, fmt.Errorf("asking a peer for its commits: %w", err)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("asking a peer for its commits: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, nil, fmt.Errorf("asking a peer for its commits: %s", res.Status)
	}
	var b batch
	if err := json.NewDecoder(res.Body).Decode(&b); err != nil {
		return 0, nil, fmt.Errorf("reading a peer's commits: %w", err)
	}
	return b.Next, b.Events, nil
}
