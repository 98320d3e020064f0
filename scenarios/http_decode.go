package scenarios

import (
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/targets/http"
)

func decodeHTTP(file string, target, environment, safety strictyaml.Node, l Language) *HTTPTarget {
	o := &HTTPTarget{Service: http.Decode(target), Dir: filepath.Dir(file)}
	f := safety.Fields("safety", "allow", "shared", "halt")
	for _, n := range f["allow"].List("hosts") {
		o.Safety.Allow = append(o.Safety.Allow, n.String("a host"))
	}
	o.Safety.Shared = f["shared"].OneOf("answer to shared", "true", "false") == "true"
	for _, n := range f["halt"].List("conditions") {
		if h, ok := decodeHalt(n); ok {
			o.Safety.Halt = append(o.Safety.Halt, h)
		}
	}
	o.Environment = decodeEnvironment(environment, l)
	o.checkHosts(target)
	return o
}

// checkHosts refuses hosts that the suite does not allow.
func (t *HTTPTarget) checkHosts(at strictyaml.Node) {
	allowed := t.Gate()
	check := func(what, address string) {
		for _, host := range hostsOf(address) {
			if host != "" && !allowed.Permits(host) {
				at.Fail(host, what+" is not on this machine, and not allowed", "safety: {allow: ["+host+"]} when you may drill it")
			}
		}
	}
	for _, r := range t.Service.Regions {
		for _, u := range r.URLs {
			check("the instance "+u, u)
		}
	}
	for what, base := range t.Service.Bases() {
		check("where "+what+" goes", base)
	}
	if l := t.Environment.Loads; l != nil {
		check("the page of metrics", l.Prometheus)
		check("the origin", l.Origin)
		check("the database", l.Postgres)
	}
	for _, e := range t.Environment.Edges {
		check("the far end of edge "+e.Name, e.Upstream)
	}
	if r := t.Environment.Redis; r != nil {
		check("the Redis", r.URL)
	}
}

// hostsOf gives the hosts that an address leads to: host:port, or a URL, that of a PostgreSQL with
// the hosts of its query, which take the place of its own.
func hostsOf(address string) []string {
	if h, _, err := net.SplitHostPort(address); err == nil && !strings.Contains(address, "/") {
		return []string{h}
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" && u.RawQuery == "" {
		return nil // said where it is read, or the path of a socket
	}
	var out []string
	for _, h := range strings.Split(u.Host, ",") {
		one := url.URL{Host: h}
		out = append(out, one.Hostname())
	}
	if strings.HasPrefix(u.Scheme, "postgres") {
		for _, name := range []string{"host", "hostaddr"} {
			for _, v := range u.Query()[name] {
				for _, h := range strings.Split(v, ",") {
					if !strings.HasPrefix(h, "/") {
						out = append(out, h)
					}
				}
			}
		}
	}
	return out
}

var haltForm = regexp.MustCompile(`^(errors|p99) > ([0-9.]+)(%|ms|s) for ([0-9a-z.]+)$`)

func decodeHalt(n strictyaml.Node) (Halt, bool) {
	text := n.String("a condition")
	m := haltForm.FindStringSubmatch(text)
	hint := `"errors > 20% for 3s" or "p99 > 2s for 5s"`
	if m == nil || (m[1] == "errors") != (m[3] == "%") {
		n.Fail("", "can't be read", hint)
		return Halt{}, false
	}
	limit, err := strconv.ParseFloat(m[2], 64)
	length, err2 := time.ParseDuration(m[4])
	if err != nil || err2 != nil || length <= 0 {
		n.Fail("", "can't be read", hint)
		return Halt{}, false
	}
	h := Halt{Text: text, P99: m[1] == "p99", Limit: limit, For: length}
	switch m[3] {
	case "%":
		h.Limit /= 100
	case "ms":
		h.Limit /= 1000
	}
	return h, true
}
