package invalidation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
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
	over := time.NewTimer(pullWait)
	defer over.Stop()
	for {
		events, next, grown := ownEvents(r.cfg.Log, r.cfg.Region, after)
		if len(events) > 0 {
			writeBatch(w, batch{Next: next, Events: events})
			return
		}
		after = next
		select {
		case <-grown:
		case <-over.C:
			writeBatch(w, batch{Next: after})
			return
		case <-req.Context().Done():
			return
		}
	}
}

func writeBatch(w http.ResponseWriter, b batch) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(b) // a peer that went away asks again from the same position
}

// pull follows one peer's feed.
func (r *Relay) pull(ctx context.Context, region, base string) error {
	transport := &http.Transport{MaxIdleConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: pullTimeout}
	at := uint64(0)
	for ctx.Err() == nil {
		b, err := pullOnce(ctx, client, base, at)
		if err == nil {
			at = b.Next
			r.enqueue(region, b.Next, b.Events)
			continue
		}
		select {
		case <-time.After(pullRetry):
		case <-ctx.Done():
		}
	}
	return nil
}

func pullOnce(ctx context.Context, client *http.Client, base string, after uint64) (batch, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/feed?after=%d", base, after), nil)
	if err != nil {
		return batch{}, fmt.Errorf("asking a peer for its commits: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return batch{}, fmt.Errorf("asking a peer for its commits: %w", err)
	}
	defer res.Body.Close()
	var b batch
	if res.StatusCode != http.StatusOK {
		return batch{}, fmt.Errorf("asking a peer for its commits: %s", res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(&b); err != nil {
		return batch{}, fmt.Errorf("reading a peer's commits: %w", err)
	}
	return b, nil
}
