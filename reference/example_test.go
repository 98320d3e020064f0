package reference_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// must keeps the example short; a service handles its errors.
func must[T any](v T, err error) T {
	if err != nil {
		log.Panic(err)
	}
	return v
}

// One worker's cache. A service has its own Redis in place of the miniredis, and its database
// (package source/postgres, or a [source.Source] of its own) in place of the model.
func Example() {
	server := must(miniredis.Run())
	defer server.Close()
	database := must(source.NewModel(source.ModelConfig{Servers: 10}))
	defer database.Close()

	p := policy.Recommended()
	client := reference.NewClient(server.Addr(), p)
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cache := must(reference.New(ctx, reference.Config{
		Region: "eu",
		Policy: p,
		Families: []reference.Family{{
			Schema:   key.Schema{Family: "product", Version: 1, Vary: []key.Dimension{key.Tenant}},
			Contract: policy.Family{Class: policy.Bounded, Within: 10 * time.Second, TTL: 10 * time.Second},
		}},
		Source: database,
		Shared: store.NewRedis(client),
	}))
	defer cache.Close()

	name := key.Name{Family: "product", ID: "17", Tenant: "acme"}
	r := must(cache.Put(ctx, name, []byte("a red chair"), ""))
	fmt.Println("committed version", r.Version)
	for range 2 {
		a := must(cache.Get(ctx, name))
		fmt.Printf("%s, version %d, from %s\n", a.Value, a.Version, a.Tier)
	}
	must(cache.Delete(ctx, name))
	fmt.Println("absent:", must(cache.Get(ctx, name)).Absent)
	_, err := cache.Get(ctx, key.Name{Family: "product", ID: "17"})
	fmt.Println(err)
	// Output:
	// committed version 1
	// a red chair, version 1, from source
	// a red chair, version 1, from l1
	// absent: true
	// key of family product: tenant is missing
}
