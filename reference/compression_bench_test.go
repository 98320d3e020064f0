package reference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/source"
	"github.com/cachedrill/cachedrill/reference/store"
)

// someJSON is a list of products, about as repetitive as such answers are.
func someJSON(size int) []byte {
	rng := rand.New(rand.NewPCG(uint64(size), 1))
	words := strings.Fields("light blue cotton shirt slim fit long sleeve organic men women kids summer winter sale new classic leather running shoe")
	var b strings.Builder
	b.WriteString(`{"products":[`)
	for b.Len() < size {
		fmt.Fprintf(&b, `{"id":"%08x","name":"%s %s %s","price":{"amount":%d.%02d,"currency":"EUR"},"stock":%d,"image":"https://img.example/%016x.jpg"},`,
			rng.Uint32(), words[rng.IntN(len(words))], words[rng.IntN(len(words))], words[rng.IntN(len(words))],
			rng.IntN(200), rng.IntN(100), rng.IntN(500), rng.Uint64())
	}
	return []byte(b.String()[:size])
}

// What compression does to a hit in Redis, by the size of the value: the 95th percentile with it
// against without it, side by side on one redis-server over loopback, and how much smaller the
// entry is. The network between machines is slower than loopback, which speaks for more of it.
func BenchmarkCompression(b *testing.B) {
	addr := redistest.Start(b, redis.Options{}).Addr
	for _, size := range []int{1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			var hits [2]func() time.Duration
			var bytes [2]int
			for i, names := range [][]string{{"l1"}, {"l1", "compression"}} {
				p := policy.Recommended()
				for _, n := range names {
					p, _ = p.Without(n)
				}
				client := NewClient(addr, p)
				b.Cleanup(func() { _ = client.Close() })
				began := time.Now()
				m, err := source.NewModel(source.ModelConfig{Servers: 1, Now: func() int64 { return int64(time.Since(began)) + 1 }})
				require.NoError(b, err)
				n := benchedName
				n.ID = fmt.Sprint(size, i)
				m.Seed(n, someJSON(size), "s")
				c, err := New(context.Background(), Config{Region: "eu", Policy: p, Families: []Family{benched}, Source: m, Shared: store.NewRedis(client)})
				require.NoError(b, err)
				b.Cleanup(c.Close)
				hits[i] = func() time.Duration {
					began := time.Now()
					if _, err := c.Get(context.Background(), n); err != nil {
						b.Fatal(err)
					}
					return time.Since(began)
				}
				hits[i]()
				k, err := benched.Schema.Build(n)
				require.NoError(b, err)
				raw, err := client.Get(context.Background(), k).Bytes()
				require.NoError(b, err)
				bytes[i] = len(raw)
			}
			var took [2][]time.Duration
			for range max(b.N, 2000) {
				for i := range hits {
					took[i] = append(took[i], hits[i]())
				}
			}
			p95 := func(d []time.Duration) float64 { return float64(slices.Sorted(slices.Values(d))[len(d)*95/100]) }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(p95(took[0])/p95(took[1]), "p95-ratio")
			b.ReportMetric(p95(took[1])/1e3, "p95-plain-us")
			b.ReportMetric(float64(bytes[0])/float64(bytes[1]), "size-ratio")
		})
	}
}
