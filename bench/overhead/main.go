// Command overhead measures what generating load costs: the processor time for each request of
// cachedrill, which judges every answer, and of generators that don't, against one server, in
// turns. scripts/overhead builds everything and runs it.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	rate   = flag.Int("rate", 5000, "requests per second")
	length = flag.Duration("for", 15*time.Second, "of one attack")
	runs   = flag.Int("runs", 5, "attacks of each generator")
	writes = flag.Int("writes", 1, "writes in 100 requests; 0: reads only")
	dir    = flag.String("dir", "", "where the generators lie, and what they are given is put")
	only   = flag.String("only", "", "these generators alone, with commas between")
)

const keys = 1000

// generator is a program that sends load.
type generator struct {
	name string
	path string
	args []string
	ok   []int // exit codes
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		serve()
		return
	}
	flag.Parse()
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "overhead:", err)
		os.Exit(1)
	}
}

func measure() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server := exec.Command(self, "serve")
	server.Stderr = os.Stderr
	stdin, err := server.StdinPipe() // the server ends when this closes
	if err != nil {
		return err
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		stdin.Close()
		_ = server.Wait()
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return fmt.Errorf("waiting for the server: %w", err)
	}
	base := strings.TrimSpace(line)
	all, err := generators(base)
	if err != nil {
		return err
	}
	costs := map[string][]float64{}
	for i := range *runs {
		for j := range all {
			g := all[(i+j)%len(all)] // none is always the first
			cost, n, note, err := attack(g, base)
			if err != nil {
				return fmt.Errorf("%s: %w", g.name, err)
			}
			costs[g.name] = append(costs[g.name], cost)
			fmt.Printf("run %d  %-10s  %6.1f µs a request  %d requests  %s\n", i+1, g.name, cost, n, note)
		}
	}
	fmt.Println("\nmedians of", *runs, "runs,", *rate, "requests/s for", *length)
	own := median(costs["cachedrill"])
	for _, g := range all {
		c := costs[g.name]
		fmt.Printf("%-10s  %6.1f µs a request (%.1f to %.1f)", g.name, median(c), slices.Min(c), slices.Max(c))
		if g.name != "cachedrill" && own > 0 {
			var ratios []float64
			for i := range c {
				ratios = append(ratios, costs["cachedrill"][i]/c[i])
			}
			fmt.Printf("   cachedrill / %s = %.2f (%.2f to %.2f)", g.name, median(ratios), slices.Min(ratios), slices.Max(ratios))
		}
		fmt.Println()
	}
	return nil
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(x))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// attack runs a generator, and gives the processor time (user and system, of it and of what it
// started) for each request that the server got.
func attack(g generator, base string) (micros float64, n int64, note string, err error) {
	before, err := counted(base)
	if err != nil {
		return 0, 0, "", err
	}
	cmd := exec.Command(g.path, g.args...)
	cmd.Dir = *dir
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && (!errors.As(err, &ended) || !slices.Contains(g.ok, ended.ExitCode())) {
		return 0, 0, "", fmt.Errorf("%w\n%s", err, out)
	}
	after, err := counted(base)
	if err != nil {
		return 0, 0, "", err
	}
	n = after - before
	if planned := int64(float64(*rate) * length.Seconds()); n < planned*95/100 {
		note = fmt.Sprintf("it kept up with %d%% of the rate only; ", 100*n/planned)
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if g.name == "cachedrill" {
		note += verdict()
	}
	return float64(cpu.Nanoseconds()) / 1e3 / float64(n), n, note, nil
}

// verdict tells what the drill concluded, and what it verified: a drill that verifies nothing would
// be cheap.
func verdict() string {
	raw, err := os.ReadFile(filepath.Join(*dir, "drill", "report.json"))
	if err != nil {
		return err.Error()
	}
	var rep struct {
		Scenarios []struct {
			Outcome, Why string
			Phases       []struct {
				Name  string
				Reads struct{ Total, Fresh int64 }
			}
		}
	}
	if err := json.Unmarshal(raw, &rep); err != nil || len(rep.Scenarios) == 0 {
		return fmt.Sprintf("unreadable report: %v", err)
	}
	s := rep.Scenarios[0]
	var total, fresh int64
	for _, p := range s.Phases {
		total, fresh = total+p.Reads.Total, fresh+p.Reads.Fresh
	}
	return strings.TrimSpace(fmt.Sprintf("%s: %d of %d reads proven fresh %s", s.Outcome, fresh, total, s.Why))
}

func counted(base string) (int64, error) {
	res, err := http.Get(base + "/count")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

// title is as long as a token of cachedrill.
func title(i int) string { return fmt.Sprintf("f00dcafe.%d.0badcafe.%08x", 10000+i%80000, i) }

func body(i int) string { return `{"title":"` + title(i) + `"}` }

// generators writes what each is given, and finds the programs.
func generators(base string) ([]generator, error) {
	write := func(name, text string) error { return os.WriteFile(filepath.Join(*dir, name), []byte(text), 0o644) }
	steady := *length - time.Second
	err := errors.Join(
		write("suite.yaml", fmt.Sprintf(suite, base, *rate, keys, *writes, steady/2, steady-steady/2-time.Second)),
		write("targets.json", vegetaTargets(base)),
		write("attack.js", fmt.Sprintf(k6Script, *rate, *length, base, keys, *writes)),
	)
	if err != nil {
		return nil, err
	}
	all := []generator{
		{"cachedrill", "cachedrill", []string{"run", "-f", "suite.yaml", "--quiet", "--out", "drill"}, []int{1, 3}},
		{"vegeta", "vegeta", []string{"attack", "-format=json", "-targets=targets.json", fmt.Sprintf("-rate=%d", *rate), "-duration=" + length.String(), "-output=/dev/null"}, nil},
		{"k6", "k6", []string{"run", "--quiet", "--no-usage-report", "attack.js"}, nil},
	}
	var found []generator
	for _, g := range all {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), g.name) {
			continue
		}
		own := filepath.Join(*dir, g.name)
		if _, err := os.Stat(own); err == nil {
			g.path = own
		} else if g.path, err = exec.LookPath(g.name); err != nil {
			fmt.Println("left out, for there is none:", g.name)
			continue
		}
		if g.path, err = filepath.Abs(g.path); err != nil {
			return nil, err
		}
		found = append(found, g)
	}
	return found, nil
}

const suite = `
version: 1
target:
  http:
    instances: ["%s"]
    read: {GET: "/products/{key}"}
    write: {PUT: "/products/{key}", json: {title: "{token}"}}
    bypass: {GET: "/products/{key}"}
    answer: {token: {json: $.title}}
    families: {product: {class: bounded, within: 1s}}
workload:
  rate: %d/s
  mix: {product: {share: 100%%, keys: %d, zipf: 1.0, writes: %d%%}}
phases: {warmup: 1s, steady: %v, fault: 1s, recovery: %v}
slo:
  steady: ["errors < 1%%", "p99 < 1s"]
  always: ["violations == 0"]
scenarios:
  quiet: {why: nothing is broken, faults: [{sham: {for: 1s}}]}
`

func vegetaTargets(base string) string {
	var b strings.Builder
	draw := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(draw, 1.0001, 1, keys-1)
	for i := range 20_000 {
		url := fmt.Sprintf("%s/products/%d", base, zipf.Uint64())
		if draw.IntN(100) < *writes {
			fmt.Fprintf(&b, `{"method":"PUT","url":%q,"body":%q,"header":{"Content-Type":["application/json"]}}`+"\n", url, base64.StdEncoding.EncodeToString([]byte(body(i))))
			continue
		}
		fmt.Fprintf(&b, `{"method":"GET","url":%q}`+"\n", url)
	}
	return b.String()
}

const k6Script = `
import http from 'k6/http';
export const options = {
  scenarios: {load: {executor: 'constant-arrival-rate', rate: %d, timeUnit: '1s', duration: '%v', preAllocatedVUs: 50, maxVUs: 500}},
};
const base = '%s', keys = %d, writes = %d;
const get = {tags: {name: 'get'}};
const put = {tags: {name: 'put'}, headers: {'Content-Type': 'application/json'}};
let n = 0;
export default function () {
  const url = base + '/products/' + Math.floor(Math.pow(keys, Math.random()));
  if (Math.random() * 100 < writes) {
    http.put(url, '{"title":"f00dcafe.' + (10000 + n++) + '.0badcafe.00000000"}', put);
  } else {
    http.get(url, get);
  }
}
`
