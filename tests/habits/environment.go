package habits

import (
	"context"
	"errors"
	"fmt"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/scenarios"
)

// Addresses are where the workers of the service can be reached, or where all of them can.
func (s *Service) Addresses() []string {
	if s.habits.Is("workers", "two") {
		return []string{Address, "127.0.0.1:18701"}
	}
	return []string{Address}
}

// Open makes the environment of one drill of the service, in a network in memory. It is an
// [environment.Open], for use in a bubble of testing/synctest.
func (s *Service) Open(ctx context.Context, sc scenarios.Scenario, opt environment.Options) (environment.Environment, error) {
	plan, err := sc.HTTP()
	if err != nil {
		return nil, err
	}
	network := &Network{}
	addresses := s.Addresses()
	for worker := range s.Workers() {
		network.Serve(addresses[min(worker, len(addresses)-1)], s.Handler(worker))
	}
	plan.Service.Dial = network.Dial
	env, err := environment.HTTP(ctx, sc, opt)
	if err != nil {
		s.Close()
		network.Close()
		return nil, fmt.Errorf("%s: %w", s.habits, err)
	}
	return inMemory{env, s, network}, nil
}

// inMemory is a service, reached in memory.
type inMemory struct {
	environment.Environment
	service *Service
	network *Network
}

// Capabilities implements [environment.Environment].
func (e inMemory) Capabilities() environment.Capabilities {
	c := e.Environment.Capabilities()
	c.VirtualTime = true
	return c
}

// Close implements [environment.Environment].
func (e inMemory) Close() error {
	err := e.Environment.Close()
	e.service.Close()
	e.network.Close()
	return errors.Join(err)
}
