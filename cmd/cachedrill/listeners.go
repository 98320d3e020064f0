package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// listeners are the HTTP servers of a command that serves until its context ends. Make them with
// [newListeners].
type listeners struct {
	servers []*http.Server
	ended   chan error // of the servers, each once
}

// newListeners makes room for so many servers.
func newListeners(most int) *listeners { return &listeners{ended: make(chan error, most)} }

// open serves h at the address that a flag gives, and returns the URL. Connections that are idle
// for longer than idle are closed.
func (l *listeners) open(flag, addr string, idle time.Duration, h http.Handler) (string, error) {
	at, err := net.Listen("tcp", addr)
	if err != nil {
		return "", exit{exitFail, fmt.Errorf("--%s: %w", flag, err)}
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: idle}
	l.servers = append(l.servers, s)
	go func() { l.ended <- s.Serve(at) }()
	return "http://" + at.Addr().String(), nil
}

// wait returns when ctx ends, or with the error of a server that ended by itself.
func (l *listeners) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-l.ended:
		return err
	}
}

// shutdown lets the requests under way end until ctx does, and cuts the others off, which is an
// error.
func (l *listeners) shutdown(ctx context.Context) (cut error) {
	for _, s := range l.servers {
		if s.Shutdown(ctx) != nil {
			cut = errors.New("requests were still under way, and were cut off")
			_ = s.Close()
		}
	}
	return cut
}

// close cuts every request off.
func (l *listeners) close() {
	for _, s := range l.servers {
		_ = s.Close()
	}
}
