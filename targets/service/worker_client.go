package service

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/targets"
)

// overHTTP sends a request to a worker and reads its reply.
func (s *Service) overHTTP(ctx context.Context, w *worker, r targets.Request) (targets.Reply, error) {
	req, err := newRequest(ctx, w, r)
	if err != nil {
		return targets.Reply{}, fmt.Errorf("%w: %w", targets.ErrNotApplied, err)
	}
	res, err := s.http.RoundTrip(req)
	if err != nil {
		return targets.Reply{}, fmt.Errorf("asking %s: %w", w.name, err)
	}
	defer res.Body.Close()
	return readReply(r, res)
}

func newRequest(ctx context.Context, w *worker, r targets.Request) (*http.Request, error) {
	var u strings.Builder
	u.WriteString(w.url)
	u.WriteByte('/')
	u.WriteString(url.PathEscape(r.Key.Family))
	u.WriteByte('/')
	u.WriteString(url.PathEscape(r.Key.ID))
	sep := byte('?')
	for _, d := range key.Dimensions {
		if v := d.Of(key.Name(r.Key)); v != "" {
			u.WriteByte(sep)
			u.WriteString(string(d))
			u.WriteByte('=')
			u.WriteString(url.QueryEscape(v))
			sep = '&'
		}
	}
	if r.Instance == targets.SourceInstance {
		u.WriteByte(sep)
		u.WriteString("bypass=1")
	}
	switch r.Kind {
	case targets.Write:
		return http.NewRequestWithContext(ctx, http.MethodPut, u.String(), strings.NewReader(r.Token))
	case targets.Delete:
		return http.NewRequestWithContext(ctx, http.MethodDelete, u.String(), nil)
	}
	return http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
}

func readReply(r targets.Request, res *http.Response) (targets.Reply, error) {
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return targets.Reply{}, fmt.Errorf("reading the answer: %w", err)
	}
	reply := targets.Reply{Tier: res.Header.Get(headTier), Worker: res.Header.Get(headWorker)}
	switch {
	case res.StatusCode == http.StatusNotFound && reply.Tier != "":
		reply.Absent = true
		return reply, nil
	case res.StatusCode >= 300:
		err := fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(body)))
		if res.Header.Get(headNotApplied) != "" {
			err = fmt.Errorf("%w: %w", targets.ErrNotApplied, err)
		}
		return reply, err
	}
	if reply.Version, err = strconv.ParseUint(res.Header.Get(headVersion), 10, 64); err != nil {
		return reply, fmt.Errorf("the answer's %s: %w", headVersion, err)
	}
	if r.Kind.Changes() {
		reply.Token, reply.Absent = r.Token, r.Kind == targets.Delete
		return reply, nil
	}
	if reply.Token, reply.Owner, err = decodeValue(body); err != nil {
		return reply, fmt.Errorf("the answer's body: %w", err)
	}
	return reply, nil
}
