package reference_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/alicebob/miniredis/v2"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// A Redis with TLS. The server here has a certificate for 127.0.0.1; a service has the file of its
// Redis's authority. (must panics on an error.)
func ExampleLoadTLS() {
	https := httptest.NewTLSServer(nil) // for its certificate
	defer https.Close()
	server := must(miniredis.RunTLS(https.TLS))
	defer server.Close()
	dir := must(os.MkdirTemp("", "example"))
	defer os.RemoveAll(dir)
	ca := filepath.Join(dir, "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: https.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		panic(err)
	}

	trust := must(reference.LoadTLS(ca, "", ""))
	client := must(reference.NewClientWith(reference.ClientConfig{Addr: server.Addr(), TLS: trust}, policy.Recommended()))
	defer client.Close()
	fmt.Println(client.Ping(context.Background()).Val())

	trust.InsecureSkipVerify = true
	_, err := reference.NewClientWith(reference.ClientConfig{Addr: server.Addr(), TLS: trust}, policy.Recommended())
	fmt.Println(errors.Is(err, reference.ErrUnverified))
	// Output:
	// PONG
	// true
}

// Redis is away when the service starts. New does not fail, reads go to the source and stay in
// memory, writes are made; the workers listen to it when it comes. (must panics on an error.)
func ExampleNew_redisIsAway() {
	database := must(source.NewModel(source.ModelConfig{Servers: 10}))
	defer database.Close()
	client := reference.NewClient("127.0.0.1:1", policy.Recommended())
	defer client.Close()
	ctx := context.Background()
	cache := must(reference.New(ctx, reference.Config{Region: "eu", Policy: policy.Recommended(), Families: families,
		Source: database, Shared: store.NewRedis(client)}))
	defer cache.Close()

	n := key.Name{Family: "product", ID: "17", Tenant: "acme", Locale: "en"}
	must(cache.Put(ctx, n, []byte("a red chair"), ""))
	for range 2 {
		a := must(cache.Get(ctx, n))
		fmt.Printf("%s from %s\n", a.Value, a.Tier)
	}
	// Output:
	// a red chair from source
	// a red chair from l1
}
