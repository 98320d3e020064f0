package http

import (
	"fmt"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/internal/patience"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

// Defaults of a service's description.
const (
	DefaultTimeout = 2 * time.Second
	DefaultSettle  = 10 * time.Second
	defaultBody    = 1 << 20
	theRegion      = "local" // of a service whose instances are a list
)

var perFamily = []string{"read", "write", "create", "delete", "purge", "bypass", "answer", "absent", "shed", "rejected", "accepted", "done", "token", "key"}

// Decode reads the description of a service.
func Decode(n strictyaml.Node) *Spec {
	f := n.Fields("the http target", append([]string{"instances", "headers", "timeout", "settle", "patience", "http2", "ca", "max_body", "families"}, perFamily...)...)
	s := &Spec{
		Timeout:  f["timeout"].Duration("timeout", DefaultTimeout),
		Settle:   f["settle"].Duration("settle", DefaultSettle),
		Patience: f["patience"].Duration("patience", patience.Default),
		CA:       f["ca"].String("ca"),
	}
	if f["timeout"].Present() && s.Timeout <= 0 {
		f["timeout"].Fail("", "timeout must be above 0", "timeout: 2s")
	}
	s.MostBody = int64(f["max_body"].Int("max_body, in bytes", defaultBody, 1))
	s.HTTP2 = f["http2"].Present() && f["http2"].OneOf("answer to http2", "true", "false") == "true"
	s.Regions = decodeInstances(f["instances"])
	s.Headers = decodeHeaders(f["headers"])
	families := f["families"].Entries("families")
	s.Common = decodeFamily("", n, f, Family{
		Absent: absences{codes: codes{nethttp.StatusNotFound, nethttp.StatusGone}}, Accepted: codes{nethttp.StatusAccepted}}, len(families) > 0)
	for _, e := range families {
		checkName(e, "family")
		ff := e.Value.Fields("family "+e.Name, append([]string{"class", "within", "ttl"}, perFamily...)...)
		fam := decodeFamily(e.Name, e.Key, ff, s.Common, false)
		decodePromise(e, ff, &fam)
		s.Families = append(s.Families, fam)
	}
	return s
}

func decodePromise(e strictyaml.Entry, f map[string]strictyaml.Node, fam *Family) {
	fam.TTL = f["ttl"].Duration("ttl", 0)
	fam.Within = f["within"].Duration("within", 0)
	if !f["class"].Present() {
		if f["within"].Present() {
			f["within"].Fail("", "a bound is a promise of a class", "class: bounded (no read older than within) or eventual (converged by then)")
		}
		return
	}
	fam.Class = f["class"].OneOf("class", "bounded", "strong", "eventual")
	switch {
	case fam.Class == "strong" && f["within"].Present():
		f["within"].Fail("", "no read of a strong family is stale at all", "remove within, or make the class bounded")
	case (fam.Class == "bounded" || fam.Class == "eventual") && fam.Within <= 0:
		e.Key.Fail(e.Name, "a "+fam.Class+" family needs within, above 0", "within: 10s")
	}
}

func decodeInstances(n strictyaml.Node) []Region {
	if !n.Present() {
		n.Fail("", "where is the service?", `instances: ["http://127.0.0.1:8081"], or by region: instances: {eu: [...], us: [...]}`)
		return nil
	}
	if n.IsList() {
		return []Region{{Name: theRegion, URLs: decodeURLs(n)}}
	}
	var out []Region
	for _, e := range n.Entries("instances") {
		checkName(e, "region")
		out = append(out, Region{Name: e.Name, URLs: decodeURLs(e.Value)})
	}
	return out
}

func decodeURLs(n strictyaml.Node) []string {
	var out []string
	for _, item := range n.List("base URLs") {
		text := item.String("a base URL")
		base, rest, ok := splitBase(text)
		switch {
		case !ok:
			item.Fail(text, "no base URL", "http://127.0.0.1:8081")
		case strings.Trim(rest, "/") != "":
			item.Fail(text, "a base URL is scheme, host and port; paths belong to the requests", base)
		default:
			out = append(out, base)
		}
	}
	if len(out) == 0 && len(n.List("base URLs")) == 0 {
		n.Fail("", "there are no instances", `["http://127.0.0.1:8081"]`)
	}
	return out
}

// splitBase cuts http://host:port off what follows.
func splitBase(text string) (base, rest string, ok bool) {
	scheme, after, found := strings.Cut(text, "://")
	if !found || scheme != "http" && scheme != "https" {
		return "", text, false
	}
	at := strings.IndexAny(after, "/?#")
	if at < 0 {
		at = len(after)
	}
	host := after[:at]
	u, err := url.Parse(scheme + "://" + host)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(host, "{}") {
		return "", text, false
	}
	return scheme + "://" + host, after[at:], true
}

// decodeFamily reads how a family is talked to. What it leaves out is as in base.
func decodeFamily(name string, at strictyaml.Node, f map[string]strictyaml.Node, base Family, open bool) Family {
	fam := base
	fam.Name, fam.Vary = name, nil
	for _, c := range []struct {
		name string
		call **Call
	}{{"read", &fam.Read}, {"write", &fam.Write}, {"delete", &fam.Delete}, {"purge", &fam.Purge}, {"bypass", &fam.Bypass}} {
		if f[c.name].Present() {
			*c.call = decodeCall(f[c.name], c.name)
		}
	}
	if f["create"].Present() {
		fam.Create = decodeCreate(f["create"])
	}
	if f["token"].Present() {
		fam.Token = decodeToken(f["token"])
	}
	if f["key"].Present() {
		fam.Key = decodeKey(f["key"])
	}
	if f["answer"].Present() {
		fam.Answer = decodeAnswer(f["answer"])
	}
	decodeMeanings(f, &fam)
	if open && fam.Read == nil {
		return fam // its families say it
	}
	what := "the target"
	if name != "" {
		what = "family " + name
	}
	switch {
	case fam.Read == nil:
		at.Fail("", what+" can't be read", `read: {GET: "/products/{key}"}`)
		return fam
	case !f["read"].Present(): // noted there
	case !fam.Read.uses("key"):
		f["read"].Fail("", "every read would ask for the same thing: {key} is missing", `read: {GET: "/products/{key}"}`)
	}
	if fam.Write != nil && f["write"].Present() {
		switch {
		case !fam.Write.uses("key"):
			f["write"].Fail("", "every write would be of the same thing: {key} is missing", "")
		case !fam.Write.uses("token"):
			f["write"].Fail("", "a write must store its token, by which a read is judged: {token} is missing", `write: {PUT: "/products/{key}", json: {title: "{token}"}}`)
		}
	}
	if fam.Written() && !fam.Answer.token.set() && (f["write"].Present() || f["create"].Present() || f["answer"].Present()) {
		f["answer"].Fail("", "where in an answer is what was written?", "answer: {token: {json: $.title}}")
	}
	for _, d := range dimensions[:4] {
		if fam.Read.uses(d) {
			fam.Vary = append(fam.Vary, d)
		}
	}
	for _, d := range fam.Vary {
		for what, c := range map[string]*Call{"write": fam.Write, "delete": fam.Delete, "bypass": fam.Bypass, "create": fam.Create.call()} {
			if c != nil && f[what].Present() && !c.uses(d) {
				f[what].Fail("", fmt.Sprintf("the read asks by {%s}, and the %s does not", d, what), "{"+d+"} in both, or in neither")
			}
		}
	}
	return fam
}

func checkName(e strictyaml.Entry, what string) {
	ok := e.Name != "" && strings.IndexFunc(e.Name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) < 0
	if !ok {
		e.Key.Fail(e.Name, "bad name of a "+what, "lower-case letters, digits, - and _")
	}
}
