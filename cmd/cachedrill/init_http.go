package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/scenarios"
)

// httpAnswers are what a suite of a service needs to know.
type httpAnswers struct {
	URLs      []string
	Read      string // path
	Write     string // method and path; "": it can't be written
	JSON      string // the body of a write; "" takes the token alone
	Token     string // $.path, header:Name, /expression/, or body
	Tier      string // a header
	Bypass    string // path
	Delete    string // path
	Start     string
	Ready     string // path
	Redis     string // URL
	KeyPrefix string
	Source    string // host:port
}

func (a *httpAnswers) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&a.URLs, "url", nil, "base URL of an instance of the service; may be repeated")
	f.StringVar(&a.Read, "read", "", `path of a read: "/products/{key}?tenant={tenant}"`)
	f.StringVar(&a.Write, "write", "", `a write: "PUT /products/{key}?tenant={tenant}"`)
	f.StringVar(&a.JSON, "json", "", `body of a write: '{"title": "{token}"}' (default: the token alone)`)
	f.StringVar(&a.Token, "token", "", `where a read's answer holds what was written: $.title, header:X-Value, '/title=(.*)/' or body`)
	f.StringVar(&a.Tier, "tier", "", "header that says which tier answered (HIT, MISS, ...)")
	f.StringVar(&a.Bypass, "bypass", "", `path of a read that goes past the caches: "/products/{key}?fresh=1"`)
	f.StringVar(&a.Delete, "delete", "", "path of a DELETE")
	f.StringVar(&a.Start, "start", "", `command that starts the service: "python3 app.py" (default: it runs already)`)
	f.StringVar(&a.Ready, "ready", "", "path that answers 2xx when the service is ready: /healthz")
	f.StringVar(&a.Redis, "redis", "", "the Redis that the service uses: redis://127.0.0.1:6379/0")
	f.StringVar(&a.KeyPrefix, "key-prefix", "", "how the service's keys in Redis begin: shop:")
	f.StringVar(&a.Source, "source", "", "the service's database, host:port: 127.0.0.1:5432")
}

// questions are asked on a terminal, for what no flag has set.
var questions = []struct {
	into   func(*httpAnswers) *string
	ask    string
	def    string
	needed bool
}{
	{func(a *httpAnswers) *string { return &a.Read }, "Path of a read, with {key} and, if it has tenants, {tenant}", "/products/{key}", true},
	{func(a *httpAnswers) *string { return &a.Write }, "Method and path of a write (empty: it can't be written, and staleness can't be seen)", "", false},
	{func(a *httpAnswers) *string { return &a.JSON }, `JSON body of a write, with {token} (empty: the token alone)`, "", false},
	{func(a *httpAnswers) *string { return &a.Token }, "Where a read's answer holds what was written: $.title, header:X-Value, /expression/ or body", "$.title", true},
	{func(a *httpAnswers) *string { return &a.Tier }, "Header that says whether the cache answered (empty: none)", "", false},
	{func(a *httpAnswers) *string { return &a.Bypass }, "Path of a read past the caches (empty: none)", "", false},
	{func(a *httpAnswers) *string { return &a.Start }, "Command that starts the service (empty: it runs already)", "", false},
	{func(a *httpAnswers) *string { return &a.Redis }, "URL of its Redis (empty: Redis is left alone)", "redis://127.0.0.1:6379/0", false},
	{func(a *httpAnswers) *string { return &a.KeyPrefix }, "How its keys in Redis begin", "", false},
	{func(a *httpAnswers) *string { return &a.Source }, "Its database, host:port (empty: left alone)", "", false},
}

// ask fills in from a terminal what no flag has set.
func (a *httpAnswers) ask(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	one := func(ask, def string, needed bool) (string, error) {
		for {
			if def != "" {
				ask = strings.TrimSuffix(ask, " ["+def+"]") + " [" + def + "]"
			}
			fmt.Fprintf(out, "%s: ", ask)
			if !lines.Scan() {
				return "", errors.Join(lines.Err(), errors.New("no more answers"))
			}
			v := strings.TrimSpace(lines.Text())
			if v == "" {
				v = def
			}
			if v == "-" {
				v = ""
			}
			if v != "" || !needed {
				return v, nil
			}
		}
	}
	fmt.Fprintln(out, "A few questions about the service. Enter takes what is in brackets, - takes nothing.")
	u, err := one("Base URL of the service", "http://127.0.0.1:8081", true)
	if err != nil {
		return err
	}
	a.URLs = []string{u}
	for _, q := range questions {
		into := q.into(a)
		if *into != "" || q.ask == "How its keys in Redis begin" && a.Redis == "" {
			continue
		}
		if *into, err = one(q.ask, q.def, q.needed); err != nil {
			return err
		}
	}
	return nil
}

// missing names the flags without which no suite can be written.
func (a *httpAnswers) missing() []string {
	var out []string
	for _, f := range []struct {
		name string
		ok   bool
	}{{"--url", len(a.URLs) > 0}, {"--read", a.Read != ""}, {"--token", a.Token != "" || a.Write == ""}} {
		if !f.ok {
			out = append(out, f.name)
		}
	}
	return out
}

// suite writes the file. What the answers make of it is checked as any suite is.
func (a *httpAnswers) suite(file string) ([]byte, error) {
	d := httpSuite{httpAnswers: *a, File: file}
	if a.Write != "" {
		var ok bool
		if d.Method, d.Path, ok = strings.Cut(a.Write, " "); !ok {
			d.Method, d.Path = "PUT", a.Write
		}
		d.Body = "body: \"{token}\""
		if a.JSON != "" {
			var v any
			if err := json.Unmarshal([]byte(a.JSON), &v); err != nil {
				return nil, fmt.Errorf("--json: %w", err)
			}
			d.Body = "json: " + a.JSON // JSON is YAML
		}
	}
	d.Place = placeText(a.Token)
	for _, words := range strings.Fields(a.Start) {
		d.Argv = append(d.Argv, strconv.Quote(words))
	}
	d.Tenants = strings.Contains(a.Read, "{tenant}")
	d.Locales = strings.Contains(a.Read, "{locale}")
	d.Currencies = strings.Contains(a.Read, "{currency}")
	if a.Redis != "" {
		text, err := secret.ExpandURL(a.Redis)
		if err != nil {
			return nil, fmt.Errorf("--redis: %w", err)
		}
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" {
			return nil, errors.New("--redis: no address of a Redis, such as redis://127.0.0.1:6379/0; " + secret.Encoding)
		}
		d.RedisAt = u.Host
		if u.Port() == "" {
			d.RedisAt += ":6379"
		}
		d.RedisListen = beside(d.RedisAt)
		if a.Start != "" {
			d.RedisEnv = strings.Replace(a.Redis, "@"+u.Host, "@{edge.redis}", 1)
			if u.User == nil {
				d.RedisEnv = strings.Replace(a.Redis, "//"+u.Host, "//{edge.redis}", 1)
			}
		}
	}
	if a.Source != "" {
		d.SourceListen = beside(a.Source)
	}
	var b strings.Builder
	if err := httpTemplate.Execute(&b, d); err != nil {
		return nil, err
	}
	text := []byte(b.String())
	if _, err := scenarios.Parse(file, text); err != nil {
		return nil, fmt.Errorf("what these answers make is no suite that can be drilled:\n%w", err)
	}
	return text, nil
}

// beside is the address where a proxy listens: the same port, a thousand higher.
func beside(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	n, err2 := strconv.Atoi(port)
	if err != nil || err2 != nil {
		return "127.0.0.1:7000"
	}
	if n += 1000; n > 65535 {
		n -= 2000
	}
	return "127.0.0.1:" + strconv.Itoa(n)
}

func placeText(token string) string {
	name, header := strings.CutPrefix(token, "header:")
	switch {
	case header:
		return "{header: " + strconv.Quote(name) + "}"
	case token == "body":
		return "body"
	case len(token) > 1 && strings.HasPrefix(token, "/") && strings.HasSuffix(token, "/"):
		return "{regexp: '" + strings.ReplaceAll(token[1:len(token)-1], "'", "''") + "'}"
	}
	return "{json: " + strconv.Quote(token) + "}"
}

type httpSuite struct {
	httpAnswers
	File, Method, Path, Body, Place, RedisAt, RedisListen, RedisEnv, SourceListen string
	Argv                                                                          []string
	Tenants, Locales, Currencies                                                  bool
}

var httpTemplate = template.Must(template.New("").Funcs(template.FuncMap{
	"quote": strconv.Quote, "join": strings.Join,
	"quoted": func(all []string) []string {
		var out []string
		for _, s := range all {
			out = append(out, strconv.Quote(s))
		}
		return out
	},
}).Parse(`# Drills of a service. Next: cachedrill check -f {{.File}}, then cachedrill run -f {{.File}}
version: 1
target:
  http:
    instances: [{{join (quoted .URLs) ", "}}]
    # headers: {Authorization: "Bearer ${SHOP_TOKEN}"}   # from the environment
    timeout: 2s                       # a client's patience
    read: {GET: {{quote .Read}}}
{{- if .Write}}
    # A write stores its {token}: from what a read answers, cachedrill tells which write it is of.
    write: { {{- .Method}}: {{quote .Path}}, {{.Body -}} }
{{- else}}
    # Without a write, stale answers can't be seen:
    # write: {PUT: "/products/{key}", json: {title: "{token}"}}
{{- end}}
{{- if .Delete}}
    delete: {DELETE: {{quote .Delete}}}
{{- end}}
{{- if .Bypass}}
    bypass: {GET: {{quote .Bypass}}}   # past the caches
{{- else}}
    # bypass: {GET: "/products/{key}?fresh=1"}   # a read past the caches; without one, lost writes are hard to see
{{- end}}
    answer:
{{- if .Token}}
      token: {{.Place}}
{{- end}}
{{- if .Tier}}
      tier: {header: {{quote .Tier}}}
{{- else}}
      # tier: {header: X-Cache}       # HIT or MISS; without it hit_ratio is unknown
{{- end}}
      # owner: {json: $.tenant}       # whose value it is; shows mix-ups that tokens don't
    absent: [404]
    # shed: [429, 503]                # statuses that promise: turned away, and nothing was done
    families:
      item: {}                        # what it promises, if it does: {class: bounded, within: 5s, ttl: 5s}
{{if or .Start .Redis .Source .Ready}}environment:
{{- if .Start}}
  start: [{{join .Argv ", "}}]
{{- if .RedisEnv}}
  env: {REDIS_URL: {{quote .RedisEnv}}}   # under the name that the service reads; it points the service to the edge
{{- else}}
  # env: {NAME: value}
{{- end}}
{{- if .Source}}
  # Have env name {edge.source} in the place of {{.Source}} too.
{{- end}}
{{- end}}
{{- if .Ready}}
  ready: {GET: {{quote .Ready}}, within: 20s}
{{- end}}
{{- if or .Redis .Source}}
  # Point the service at listen instead of upstream: what goes wrong happens between the two.
  edges:
{{- if .Redis}}
    redis: {listen: {{quote .RedisListen}}, upstream: {{quote .RedisAt}}, protocol: redis}
{{- end}}
{{- if .Source}}
    source: {listen: {{quote .SourceListen}}, upstream: {{quote .Source}}}   # protocol: postgres, mysql, http
{{- end}}
{{- end}}
{{- if .Redis}}
  redis: {url: {{quote .Redis}}{{if .KeyPrefix}}, key_prefix: {{quote .KeyPrefix}}{{end}}}
{{- end}}
  # source_qps: {prometheus: "http://127.0.0.1:8081/metrics", counter: db_queries_total}
{{else}}# environment:                        # a command that starts it, proxies in front of its Redis and database: docs/drill-your-service.md
{{end -}}
safety:
  halt: ["errors > 50% for 20s"]      # ends a drill early. Longer than the faults: what they do is for the objectives
  # shared: true                      # others use these keys too
workload:
  rate: 100/s
{{- if .Tenants}}
  tenants: 3
{{- end}}
{{- if .Locales}}
  locales: [de, en]
{{- end}}
{{- if .Currencies}}
  currencies: [EUR, USD]
{{- end}}
  mix:
    item: {share: 100%, keys: 500, zipf: 1.0{{if .Write}}, writes: 2%{{end}}}
{{- if .Write}}
  bursts: {every: 2s, size: 2}        # two writers of one key at once: a cache may keep the loser for ever
{{- end}}
phases: {warmup: 3s, steady: 5s, fault: 8s, recovery: 10s}
slo:
  steady: ["p99 < 500ms", "errors < 1%"]
  recovery: ["recovery_time < 8s"]
{{- if .Write}}
  # How old an answer may be: SET THIS. Below the TTL, it finds copies that a write leaves behind. The drill must be longer.
  always: ["staleness.max < 10s"]
{{- end}}
scenarios:
  quiet:
    why: Nothing goes wrong. Shows what the service is like by itself.
    faults:
      - sham: {for: 5s}
    slo:
      fault: ["errors < 1%"]
{{- if .Redis}}
  redis-gone:
    why: Redis stops answering. Catches missing timeouts.
    faults:
      - network.blackhole: {edge: redis, for: 5s}
    slo:
      fault: ["errors < 5%"]
  redis-refuses:
    why: Nothing listens where Redis was. Catches a missing fallback.
    faults:
      - network.refuse: {edge: redis, for: 5s}
    slo:
      fault: ["errors < 5%"]
{{- if .KeyPrefix}}
  mass-expiry:
    why: All keys expire at once. Catches stampedes.
    faults:
      - keys.expire: {share: 100%}
    slo:
      fault: ["errors < 5%", "p99 < 2s"]
{{- end}}
{{- end}}
{{- if .Source}}
  slow-source:
    why: The database answers half a second later. Catches loads that pile up.
    faults:
      - source.slow: {by: 500ms, for: 5s}
    slo:
      fault: ["errors < 5%", "p99 < 2s"]
{{- end}}
`))
