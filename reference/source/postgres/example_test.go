package postgres_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/source/postgres"
)

// The source is for reference.Config.Source, and the feed of invalidation.Config.Log. Tables are
// made at the first start.
func ExampleOpen() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	db, err := postgres.Open(ctx, postgres.Config{
		URL: "postgres://shop:secret@db.example:5432/shop?sslmode=verify-full&sslrootcert=ca.pem&pool_max_conns=20",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close() // after the caches and relays

	r, err := db.Load(ctx, key.Name{Family: "product", ID: "17"}, source.Caller{Region: "eu"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("version", r.Version)
}
