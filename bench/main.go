// Command bench measures the reference cache beside other Go cache libraries, on one Redis of its
// own and with one counting source: what a stampede and a flush cost at the source, and what a hit
// costs. It prints a Markdown table.
//
// It is a module of its own, so that the other libraries are no dependencies of cachedrill.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/targets/redis"
)

func main() {
	reexec.Main(redis.Roles) // the guard that ends the Redis, however we end
	goredis.SetLogger(silent{})
	rounds := flag.Int("rounds", 5, "rounds of each test; the libraries take turns in each")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// silent keeps what go-redis says of pings before the server is up, and of its pool, from the
// table.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func run(ctx context.Context, out io.Writer, rounds int) error {
	if rounds < 1 {
		return fmt.Errorf("rounds must be at least 1, not %d", rounds)
	}
	node, err := redis.New(redis.Process, "redis")
	if err != nil {
		return err
	}
	defer node.Close()
	if err := node.Start(ctx); err != nil {
		return err
	}
	id, err := node.Identity(ctx)
	if err != nil {
		return err
	}
	t := trial{node: node, rounds: rounds}
	for _, step := range []func(context.Context) error{t.stampedes, t.flushes, t.memoryHits, t.redisHits} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%d cores, %s, %s, %s. Medians of %d rounds in which the libraries take turns; ranges in brackets.\n\n",
		runtime.NumCPU(), processor(), runtime.Version(), id.Version, rounds)
	return t.write(out)
}

// write prints what was measured.
func (t *trial) write(out io.Writer) error {
	var b strings.Builder
	b.WriteString("| library | stampede: loads | slowest reader | flush: loads per key | total time | hit in memory | ratio | hit in Redis | ratio |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, l := range libraries {
		m := t.of(l.name)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", strings.TrimSpace(l.name+" "+version(l.module)),
			m.stampedeLoads.show("%.0f", 1), m.stampedeSlowest.show("%.0f ms", 1e-6),
			m.flushLoads.show("%.3f", 1), m.flushTime.show("%.2f s", 1e-9),
			m.memoryHit.show("%.0f ns", 1), m.memoryRatio.show("%.2f", 1),
			m.redisHit.show("%.1f µs", 1e-3), m.redisRatio.show("%.2f", 1))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// series is one quantity, a value for each round.
type series []float64

// show gives the median and, where the rounds differ as shown, the range. Of nothing it gives a
// dash.
func (s series) show(format string, scale float64) string {
	if len(s) == 0 {
		return "-"
	}
	v := slices.Sorted(slices.Values(s))
	lo, mid, hi := fmt.Sprintf(format, v[0]*scale), fmt.Sprintf(format, s.median()*scale), fmt.Sprintf(format, v[len(v)-1]*scale)
	if lo == hi {
		return mid
	}
	number, _, _ := strings.Cut(lo, " ")
	return fmt.Sprintf("%s (%s–%s)", mid, number, strings.Fields(hi)[0])
}

func (s series) median() float64 {
	v := slices.Sorted(slices.Values(s))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// version is that of a module in this program; "" stands for ours.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok || module == "" {
		return ""
	}
	for _, d := range info.Deps {
		if d.Path == module {
			return strings.TrimPrefix(d.Version, "v")
		}
	}
	return ""
}

// processor is the model of the CPU, where the system tells it.
func processor() string {
	raw, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// ratios gives what each round of a is of the same round of base.
func ratios(a, base series) (r series) {
	for i := range a {
		r = append(r, a[i]/base[i])
	}
	return r
}

var started = time.Now()

// clock is the source's.
func clock() int64 { return int64(time.Since(started)) }
