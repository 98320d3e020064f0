package invalidation_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/reference/invalidation"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
)

// relayOf makes a region's relay. A service delivers by Apply of a reference.Invalidator.
func relayOf(region string, database *source.Model, heard chan<- string) *invalidation.Relay {
	return invalidation.NewRelay(invalidation.Config{Region: region, Log: database.Log(), Deliver: func(_ context.Context, e invalidation.Event) error {
		heard <- fmt.Sprintf("%s hears that %s wrote version %d of %s", region, e.Origin, e.Version, e.Name.ID)
		return nil
	}})
}

// Two regions whose relays pull each other's commits over HTTP. Where every relay can follow the
// log well, Config.All is less to run.
func Example_peers() {
	database, err := source.NewModel(source.ModelConfig{Servers: 10})
	if err != nil {
		log.Panic(err)
	}
	defer database.Close()
	heard := make(chan string, 10)
	eu, us := relayOf("eu", database, heard), relayOf("us", database, heard)

	mux := http.NewServeMux()
	mux.Handle("/relay/", http.StripPrefix("/relay", eu)) // beside other paths, on a port that only peers reach
	euFace, usFace := httptest.NewServer(mux), httptest.NewServer(us)
	defer euFace.Close()
	defer usFace.Close()

	life, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = eu.Run(life, map[string]invalidation.Peer{"us": invalidation.NewHTTPPeer(usFace.URL)}) })
	running.Go(func() {
		_ = us.Run(life, map[string]invalidation.Peer{"eu": invalidation.NewHTTPPeer(euFace.URL + "/relay")})
	})

	if _, err := database.Store(life, key.Name{Family: "product", ID: "17"}, nil, "", source.Caller{Region: "eu"}); err != nil {
		log.Panic(err)
	}
	for range 2 {
		select {
		case line := <-heard:
			fmt.Println(line)
		case <-time.After(5 * time.Second):
			fmt.Println("nothing was heard")
		}
	}
	end()
	running.Wait()
	// Unordered output:
	// eu hears that eu wrote version 1 of 17
	// us hears that eu wrote version 1 of 17
}
