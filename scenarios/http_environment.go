package scenarios

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/internal/querycount"
	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/targets/redis"
)

const environmentFields = "start stop env ready edges redis source_qps"

func decodeEnvironment(n strictyaml.Node, l Language) Environment {
	f := n.Fields("the environment", strings.Fields(environmentFields)...)
	e := Environment{Start: argv(f["start"]), Stop: argv(f["stop"]), Env: map[string]string{}}
	for _, v := range f["env"].Entries("variables of the environment") {
		e.Env[v.Name] = v.Value.String("a value")
	}
	if len(e.Start) == 0 {
		for _, name := range []string{"stop", "env"} {
			refuse(f[name], name, "the suite does not start the service", "start: [python3, app.py]")
		}
	}
	r := f["ready"].Entries("ready")
	e.Ready.Within = 20 * time.Second
	for _, v := range r {
		switch v.Name {
		case "GET":
			if e.Ready.Path = v.Value.String("a path"); !strings.HasPrefix(e.Ready.Path, "/") {
				v.Value.Fail("", "a path begins with /", "ready: {GET: /healthz, within: 20s}")
			}
		case "within":
			e.Ready.Within = v.Value.Duration("within", e.Ready.Within)
		default:
			v.Key.Fail(v.Name, "unknown field in ready", "ready: {GET: /healthz, within: 20s}")
		}
	}
	if f["redis"].Present() {
		e.Redis = decodeRedis(f["redis"], l.Backends)
	}
	for _, v := range f["edges"].Entries("edges") {
		e.Edges = append(e.Edges, decodeEdge(v, e.Redis))
	}
	if f["source_qps"].Present() {
		e.Loads = decodeLoads(f["source_qps"], e.Edges)
	}
	e.checkEnv(f["env"])
	return e
}

func argv(n strictyaml.Node) []string {
	var out []string
	for _, w := range n.List("a command's words") {
		out = append(out, w.String("a word"))
	}
	if n.Present() && n.IsList() && len(out) == 0 {
		n.Fail("", "the command is empty", "[python3, app.py]")
	}
	return out
}

// protocols are what a probe can speak, with the ports by which it is guessed.
var protocols = map[string]string{"6379": "redis", "5432": "postgres", "3306": "mysql", "11211": "memcached", "80": "http", "8080": "http"}

var protocolNames = []string{"redis", "postgres", "mysql", "memcached", "http"}

func decodeEdge(e strictyaml.Entry, r *RedisPlan) EdgePlan {
	f := e.Value.Fields("edge "+e.Name, "listen", "upstream", "protocol", "source")
	p := EdgePlan{Name: e.Name, Listen: f["listen"].String("listen"), Upstream: f["upstream"].String("upstream"), Source: e.Name == "source"}
	if strings.ContainsAny(e.Name, "*?[] ") || e.Name == "" {
		e.Key.Fail(e.Name, "bad name of an edge", "redis")
	}
	for what, at := range map[string]string{"listen": p.Listen, "upstream": p.Upstream} {
		if _, port, err := net.SplitHostPort(at); f[what].Present() && (err != nil || port == "") {
			f[what].Fail("", "no address", "127.0.0.1:6379")
		}
	}
	if host, _, err := net.SplitHostPort(p.Listen); err == nil {
		checkListen(f["listen"], host)
	}
	if p.Upstream == "" {
		if r == nil || r.Backend == "" || e.Name != "redis" {
			e.Key.Fail(e.Name, "where does the edge lead?", `upstream: "127.0.0.1:6379"`)
		}
		p.Protocol = "redis"
	}
	if f["source"].Present() {
		p.Source = f["source"].OneOf("answer to source", "true", "false") == "true"
	}
	if f["protocol"].Present() {
		p.Protocol = f["protocol"].OneOf("protocol", protocolNames...)
		return p
	}
	_, port, _ := net.SplitHostPort(p.Upstream)
	switch {
	case p.Protocol != "":
	case protocols[port] != "":
		p.Protocol = protocols[port]
	case e.Name == "redis":
		p.Protocol = "redis"
	default:
		e.Key.Fail(e.Name, "what does it speak? A probe must see that the far end answers", "protocol: "+strings.Join(protocolNames, ", "))
	}
	return p
}

// checkListen refuses hosts that are not this machine's, and doubts those that others reach: a
// container must, and then everybody may who reaches this machine.
func checkListen(n strictyaml.Node, host string) {
	ip := net.ParseIP(host)
	switch {
	case loopback(host):
	case host == "" || ip != nil && ip.IsUnspecified():
		n.Doubt("", "everybody who reaches this machine reaches what is behind this edge", "name the address that is needed: 127.0.0.1, or the one that containers see, such as 172.17.0.1")
	case ip == nil:
		n.Fail("", "proxies listen on addresses of this machine", "127.0.0.1:7379")
	default:
		all, _ := net.InterfaceAddrs()
		var own []string
		for _, a := range all {
			if have, ok := a.(*net.IPNet); ok {
				if have.IP.Equal(ip) {
					return
				}
				own = append(own, have.IP.String())
			}
		}
		n.Fail("", "this machine has no such address", "its addresses: "+strings.Join(own, ", "))
	}
}

func decodeRedis(n strictyaml.Node, known redis.Backends) *RedisPlan {
	f := n.Fields("the Redis", "url", "backend", "key_prefix", "keys", "stop", "start", "kill", "monitor")
	p := &RedisPlan{Backends: known, URL: f["url"].String("url"), KeyPrefix: f["key_prefix"].String("key_prefix"), Keys: map[string]string{},
		Stop: argv(f["stop"]), Start: argv(f["start"]), Kill: argv(f["kill"])}
	if f["backend"].Present() {
		p.Backend = redis.Backend(f["backend"].OneOf("backend", known.Startable()...))
	}
	switch {
	case f["url"].Present() == f["backend"].Present():
		n.Fail("", "is it a Redis of yours, or one that the drill starts?", `url: "redis://127.0.0.1:6379/0", or backend: process`)
	case f["url"].Present():
		p.Login = secret.References(p.URL)
		p.URL = address(f["url"], "a Redis", "redis://127.0.0.1:6379/0", redis.CheckURL)
	default:
		for _, name := range []string{"stop", "start", "kill"} {
			refuse(f[name], name, "the drill starts and stops this Redis itself", "")
		}
	}
	if p.Monitor = f["monitor"].OneOf("answer to monitor", "true", "false") == "true"; p.Monitor && p.Backend != "" && p.Backend != redis.Process {
		f["monitor"].Fail("", "the embedded Redis has no MONITOR", "backend: process")
	}
	for _, e := range f["keys"].Entries("keys") {
		glob := e.Value.String("a glob")
		if rest, asText := strings.CutPrefix(glob, p.KeyPrefix); !rediskeys.Below(glob, p.KeyPrefix) {
			if !asText {
				e.Value.Fail("", "outside of key_prefix", rediskeys.Escape(p.KeyPrefix)+"*")
			}
			glob = rediskeys.Escape(p.KeyPrefix) + rest // the prefix was written as it is, and not as a glob
		}
		p.Keys[e.Name] = glob
	}
	return p
}

func decodeLoads(n strictyaml.Node, edges []EdgePlan) *LoadPlan {
	f := n.Fields("source_qps", "prometheus", "counter", "stampede", "origin", "edge", "postgres")
	p := &LoadPlan{Prometheus: f["prometheus"].String("prometheus"), Counter: f["counter"].String("counter"),
		Stampede: f["stampede"].String("stampede"), Origin: f["origin"].String("origin"),
		Edge: f["edge"].String("edge"), Postgres: f["postgres"].String("postgres")}
	if p.Prometheus != "" {
		p.Prometheus = address(f["prometheus"], "a page of metrics", "http://127.0.0.1:8081/metrics", checkWeb)
	}
	if p.Origin != "" {
		p.Origin = address(f["origin"], "an origin", "http://127.0.0.1:9001", checkWeb)
	}
	if p.Postgres != "" {
		p.Postgres = address(f["postgres"], "a PostgreSQL", "postgres://${PGUSER}:${PGPASSWORD}@127.0.0.1:5432/shop", checkPostgres)
	}
	ways := 0
	for _, way := range []string{"prometheus", "origin", "edge", "postgres"} {
		if f[way].Present() {
			ways++
		}
	}
	switch {
	case ways != 1:
		n.Fail("(hidden)", "how are loads of the source counted?", `{prometheus: "http://127.0.0.1:8081/metrics", counter: db_queries_total}, {edge: source}, {origin: "http://127.0.0.1:9001"} or {postgres: "postgres://..."}`)
	case p.Edge != "" && !slices.ContainsFunc(edges, func(e EdgePlan) bool { return e.Name == p.Edge && slices.Contains(querycount.Protocols, e.Protocol) }):
		f["edge"].Fail("", "no edge of that name whose requests can be counted", "an edge with protocol: "+strings.Join(querycount.Protocols, " or "))
	case p.Prometheus != "" && p.Counter == "":
		n.Fail("", "which counter?", "counter: db_queries_total")
	case p.Stampede != "" && p.Prometheus == "":
		f["stampede"].Fail("", "this is a histogram on a page of metrics", `prometheus: "http://127.0.0.1:8081/metrics"`)
	}
	return p
}

var slot = regexp.MustCompile(`\{(redis|edge\.[^{}]*)\}`)

// checkEnv refuses placeholders that stand for nothing.
func (e *Environment) checkEnv(n strictyaml.Node) {
	known := e.Slots(func(EdgePlan) string { return "x" }, "x")
	for _, v := range n.Entries("variables of the environment") {
		for _, m := range slot.FindAllStringSubmatch(v.Value.String("a value"), -1) {
			if _, ok := known[m[1]]; !ok {
				var names []string
				for name := range known {
					names = append(names, "{"+name+"}")
				}
				v.Value.Fail(m[0], "stands for nothing", "known: "+strings.Join(slices.Sorted(slices.Values(names)), ", "))
			}
		}
	}
}

// Slots are the placeholders of environment variables.
func (e *Environment) Slots(listen func(EdgePlan) string, redisAt string) map[string]string {
	out := map[string]string{}
	for _, edge := range e.Edges {
		out["edge."+edge.Name] = listen(edge)
	}
	if e.Redis != nil {
		out["redis"] = redisAt
	}
	return out
}

// Expand fills the placeholders of a text.
func Expand(text string, known map[string]string) string {
	return slot.ReplaceAllStringFunc(text, func(m string) string {
		if v, ok := known[m[1:len(m)-1]]; ok {
			return v
		}
		return m
	})
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func refuse(n strictyaml.Node, name, msg, hint string) {
	if n.Present() {
		n.Fail(name, msg, hint)
	}
}
