package service

import (
	"context"
	"fmt"
	"net"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/targets"
)

// worker is one process's worth of the service: a cache and its HTTP face.
type worker struct {
	name   string
	cache  Cache
	encode func(n key.Name, token string) ([]byte, error) // a value, as the source stores it
	at     net.Listener                                   // of its HTTP face, where it has one
	url    string
}

// listen opens the worker's HTTP port.
func (w *worker) listen() (err error) {
	if w.at, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	w.url = "http://" + w.at.Addr().String()
	return nil
}

// do serves a request without HTTP in between.
func (w *worker) do(ctx context.Context, r targets.Request) (targets.Reply, error) {
	reply, n := targets.Reply{Worker: w.name}, key.Name(r.Key)
	if r.Kind.Changes() {
		rec, err := w.apply(ctx, r.Kind, n, r.Token)
		reply.Version, reply.Token, reply.Absent = rec.Version, r.Token, r.Kind == targets.Delete
		return reply, err
	}
	var a reference.Answer
	var err error
	if r.Instance == targets.SourceInstance {
		a, err = w.cache.GetBypass(ctx, n, true)
	} else {
		a, err = w.cache.Get(ctx, n)
	}
	if err != nil {
		return reply, err
	}
	reply.Tier, reply.Absent = string(a.Tier), a.Absent
	if a.Absent {
		return reply, nil
	}
	reply.Version = a.Version
	if reply.Token, reply.Owner, err = decodeValue(a.Value); err != nil {
		return reply, fmt.Errorf("the answer's value: %w", err)
	}
	return reply, nil
}

// apply changes a name at the source.
func (w *worker) apply(ctx context.Context, kind targets.Kind, n key.Name, token string) (source.Record, error) {
	if kind == targets.Delete {
		return w.cache.Delete(ctx, n)
	}
	v, err := w.encode(n, token)
	if err != nil {
		return source.Record{}, fmt.Errorf("%w: %w", source.ErrNotApplied, err)
	}
	return w.cache.Put(ctx, n, v, token)
}
