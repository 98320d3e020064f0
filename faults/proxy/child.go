package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/cachedrill/cachedrill/internal/reexec"
)

// roleProxies is the child that runs the network proxies of one fault domain.
const roleProxies = "cachedrill-proxies"

// Roles are the child processes that fleets start; main and TestMain hand them to [reexec.Main].
var Roles = map[string]reexec.Role{roleProxies: runProxies}

// runProxies runs a toxiproxy server without proxies and reports, as its only line, where its HTTP
// API listens. It has a process of its own because an exchange with it may hang for ever (a dial to
// an upstream that does not answer holds up the end of its proxy), and then only killing helps.
func runProxies(ctx context.Context, _ []string, stdout io.Writer) error {
	zerolog.SetGlobalLevel(zerolog.Disabled)
	toxics.Register(shaperToxic, new(shaper))
	// A nil metrics container would crash the server when a connection ends.
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	api, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the proxies' API: %w", err)
	}
	web := &http.Server{Handler: server.Routes(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(api) }()
	if _, err := fmt.Fprintln(stdout, api.Addr()); err != nil {
		return fmt.Errorf("reporting the proxies' API: %w", err)
	}
	select {
	case <-ctx.Done():
		_ = web.Close()
		<-served
		return nil
	case err := <-served:
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("serving the proxies' API: %w", err)
	}
}
