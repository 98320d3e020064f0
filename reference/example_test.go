package reference_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// direct carries a store's commands without a network, for the examples.
type direct struct{}

func (direct) Carry(ctx context.Context) error { return ctx.Err() }
func (direct) Open() bool                      { return true }

// must keeps the examples short; a service handles its errors.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A worker's cache over a source. A service has store.NewRedis(reference.NewClient(addr, p)) in place of the store in
// memory, and its database behind source.Source.
func Example() {
	began := time.Now()
	database := must(source.NewModel(source.ModelConfig{Servers: 10, Now: func() int64 { return int64(time.Since(began)) }}))
	defer database.Close()
	memory := store.NewMemory()
	memory.Start()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cache := must(reference.New(ctx, reference.Config{
		Region: "eu",
		Policy: policy.Recommended(),
		Families: []reference.Family{{
			Schema:   key.Schema{Family: "product", Version: 1, Vary: []key.Dimension{key.Tenant}},
			Contract: policy.Family{Class: policy.Bounded, Within: 10 * time.Second, TTL: 10 * time.Second},
		}},
		Source: database,
		Shared: memory.Client(direct{}, store.Patience{}),
	}))
	defer cache.Close()

	name := key.Name{Family: "product", ID: "17", Tenant: "acme"}
	r := must(cache.Put(ctx, name, []byte("a red chair"), "write-1"))
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

// Controls are removed by name, to see what each of them is good for.
func ExampleConfig_policy() {
	p, err := policy.Recommended().Without("jitter")
	fmt.Println(p.Controls.Has(policy.Jitter), p.Controls.Has(policy.Lease), err)
	_, err = p.Without("jiter")
	fmt.Println(err != nil)
	// Output:
	// false true <nil>
	// true
}
