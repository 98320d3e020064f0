package reference_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/journal"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/purge"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
	"github.com/cachedrill/cachedrill/reference/writebehind"
)

// Wrong values were published, and corrected at the source past the cache: what the region holds of
// a tenant must go. (must panics on an error.)
func Example_purge() {
	server := must(miniredis.Run())
	defer server.Close()
	database := must(source.NewModel(source.ModelConfig{Servers: 10}))
	defer database.Close()
	client := reference.NewClient(server.Addr(), policy.Recommended())
	defer client.Close()
	shared := store.NewRedis(client)
	ctx := context.Background()
	cache := must(reference.New(ctx, reference.Config{Region: "eu", Policy: policy.Recommended(), Families: families, Source: database, Shared: shared}))
	defer cache.Close()
	must(cache.Get(ctx, key.Name{Family: "product", ID: "17", Tenant: "acme", Locale: "en"})) // also that there is none is cached

	dir := must(os.MkdirTemp("", "example"))
	defer os.RemoveAll(dir)
	audit := must(purge.OpenAudit(filepath.Join(dir, "purges.jsonl")))
	defer audit.Close()
	purger := must(purge.New(purge.Config{Region: "eu", Policy: policy.Recommended(), Families: reference.PurgeFamilies(families), Shared: shared, Audit: audit}))
	done, err := purger.Purge(ctx, purge.Order{
		Selector: purge.Selector{Tenant: "acme"},
		Who:      "ines@shop.example", Why: "wrong prices",
	})
	fmt.Println(done.Removed, err) // ErrPartly: some may be left; purge again

	_, err = purger.Purge(ctx, purge.Order{Who: "ines@shop.example", Why: "no selector"})
	fmt.Println(errors.Is(err, purge.ErrSelector))
	// Output:
	// 1 <nil>
	// true
}

// Views are counted behind: a write is acknowledged when it is on disk here, and read when the
// source has it. (must panics on an error.)
func Example_writeBehind() {
	server := must(miniredis.Run())
	defer server.Close()
	database := must(source.NewModel(source.ModelConfig{Servers: 10}))
	defer database.Close()
	p := policy.Recommended()
	client := reference.NewClient(server.Addr(), p)
	defer client.Close()
	dir := must(os.MkdirTemp("", "example")) // a service: a disk that outlives the process
	defer os.RemoveAll(dir)

	ctx := context.Background()
	behind := must(writebehind.Open(ctx, writebehind.Config{
		Realm: "views", Files: journal.Folder(filepath.Join(dir, "journal")), Source: database, Region: "eu", Policy: p,
	}))
	cache := must(reference.New(ctx, reference.Config{
		Region: "eu", Policy: p, Source: database, Shared: store.NewRedis(client), WriteBehind: behind,
		Families: []reference.Family{{
			Schema:   key.Schema{Family: "views", Version: 1},
			Contract: policy.Family{Class: policy.Eventual, TTL: time.Minute, Writes: policy.WriteBehind},
		}},
	}))
	n := key.Name{Family: "views", ID: "17"}
	r := must(cache.Put(ctx, n, []byte("1041"), ""))
	fmt.Println("acknowledged version", r.Version)
	if err := behind.Drained(ctx); err != nil {
		panic(err)
	}
	a := must(cache.Get(ctx, n))
	fmt.Printf("%s, version %d\n", a.Value, a.Version)
	cache.Close() // before what it writes to
	if err := behind.Close(); err != nil {
		panic(err)
	}
	// Output:
	// acknowledged version 1
	// 1041, version 1
}
