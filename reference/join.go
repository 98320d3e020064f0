package reference

import (
	"context"

	"github.com/cachedrill/cachedrill/reference/internal/background"
	"github.com/cachedrill/cachedrill/reference/internal/coalesce"
)

// joined runs search once for all callers with the same name that come while it runs. It goes on
// when its first caller gives up, since others may wait for it, but not beyond missTimeout.
func (c *Cache) joined(ctx context.Context, name string, search func(context.Context) (Answer, error)) (Answer, error) {
	flight, lead := c.misses.Join(name)
	if lead {
		if c.work.Begin() {
			c.fly(name, flight, search)
		} else {
			c.misses.Land(name, flight, Answer{}, background.ErrClosed)
		}
	}
	return flight.Wait(ctx, name)
}

// fly runs a search in the background, whose work has begun.
func (c *Cache) fly(name string, flight *coalesce.Flight[Answer], search func(context.Context) (Answer, error)) {
	go func() {
		defer c.work.Done()
		ctx, cancel := context.WithTimeout(c.work.Context(), missTimeout)
		defer cancel()
		a, err := search(ctx)
		c.misses.Land(name, flight, a, err)
	}()
}
