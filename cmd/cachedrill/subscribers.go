package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/cachedrill/cachedrill/drill"
)

// eventsFile is the file of --out that holds every drill's events, a JSON document a line.
const eventsFile = "events.jsonl"

// subscribers take in the events of one drill, each in a goroutine of its own.
type subscribers struct {
	stream *drill.Stream
	wait   sync.WaitGroup
	errs   []error // of the writers, once all have ended
	mu     sync.Mutex
}

func newSubscribers() *subscribers { return &subscribers{stream: drill.NewStream()} }

// add hands every event to take, until the stream ends.
func (s *subscribers) add(take func(drill.Event)) {
	events := s.stream.Subscribe()
	s.wait.Go(func() {
		for {
			e, ok := events.Next(context.Background()) // the stream ends with its drill
			if !ok {
				return
			}
			take(e)
		}
	})
}

// write writes every event of the scenario's drill as a line of JSON. Output that can't be written
// any more never ends a drill: the first error is kept, and the rest is taken in and dropped.
func (s *subscribers) write(w io.Writer, scenario string) {
	var failed error
	s.add(func(e drill.Event) {
		if failed != nil {
			return
		}
		var line []byte
		if line, failed = drill.MarshalEvent(scenario, e); failed == nil {
			_, failed = w.Write(append(line, '\n'))
		}
		if failed != nil {
			s.mu.Lock()
			s.errs = append(s.errs, fmt.Errorf("writing events: %w", failed))
			s.mu.Unlock()
		}
	})
}

// end ends the stream, also of a drill that never ran, and waits until every event was taken in.
func (s *subscribers) end() error {
	s.stream.Close()
	s.wait.Wait()
	return errors.Join(s.errs...)
}

// openEvents makes the events file of a run, empty; nil without --out.
func openEvents(dir string) (*os.File, error) {
	if dir == "" {
		return nil, nil
	}
	f, err := os.Create(filepath.Join(dir, eventsFile))
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	return f, nil
}
