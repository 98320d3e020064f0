package http

import (
	"encoding/json"
	"io"
	nethttp "net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/theory/jsonpath"

	"github.com/cachedrill/cachedrill/targets"
)

const thisRun = "f00dcafe"

var product = targets.Key{Family: "product", ID: "17", Tenant: "t1"}

// asked is a request for errors to name.
func asked(t testing.TB) *nethttp.Request {
	req, err := nethttp.NewRequest(nethttp.MethodGet, "http://127.0.0.1/products/17?secret=x", nil)
	require.NoError(t, err)
	return req
}

func TestAnswersOfReads(t *testing.T) {
	token := targets.NewToken(thisRun, 3, product)
	for name, c := range map[string]struct {
		answer string // how the suite describes it
		status int
		header nethttp.Header
		body   string
		want   targets.Reply
		fails  string
	}{
		"a token alone":        {`{token: body}`, 200, nil, token, targets.Reply{Token: token}, ""},
		"within a title":       {`{token: {json: $.title}}`, 200, nil, `{"title":"Chair ` + token + `!"}`, targets.Reply{Token: token}, ""},
		"spelt with escapes":   {`{token: {json: $.title}}`, 200, nil, `{"title":"\u0066` + token[1:] + `"}`, targets.Reply{Token: token}, ""},
		"in a list":            {`{token: {json: "$.items[1].v"}}`, 200, nil, `{"items":[{"v":"a"},{"v":"` + token + `"}]}`, targets.Reply{Token: token}, ""},
		"a header":             {`{token: {header: x-value}}`, 200, nethttp.Header{"X-Value": {token}}, "", targets.Reply{Token: token}, ""},
		"an expression":        {`{token: {regexp: "v=(.*);"}}`, 200, nil, "v=" + token + ";", targets.Reply{Token: token}, ""},
		"somebody else's":      {`{token: {json: $.title}}`, 200, nil, `{"title":"Chair"}`, targets.Reply{Token: "Chair"}, ""},
		"a number":             {`{token: {json: $.title}}`, 200, nil, `{"title":12345678901234567890}`, targets.Reply{Token: "12345678901234567890"}, ""},
		"empty":                {`{token: {json: $.title}}`, 200, nil, `{"title":""}`, targets.Reply{Token: foreignValue}, ""},
		"null":                 {`{token: {json: $.title}}`, 200, nil, `{"title":null}`, targets.Reply{}, "nothing at $"},
		"a list for a value":   {`{token: {json: $.title}}`, 200, nil, `{"title":[1]}`, targets.Reply{}, "not a single value"},
		"two documents":        {`{token: {json: $.title}}`, 200, nil, `{"title":"a"}{"title":"b"}`, targets.Reply{}, "something follows"},
		"cut off":              {`{token: {json: $.title}}`, 200, nil, `{"title":"` + token, targets.Reply{}, "no JSON"},
		"no such header":       {`{token: {header: X-Value}}`, 200, nil, token, targets.Reply{}, "nothing at header"},
		"a version":            {`{token: body, version: {header: ETag}}`, 200, nethttp.Header{"Etag": {`W/"7"`}}, token, targets.Reply{Token: token, Version: 7}, ""},
		"version 0":            {`{token: body, version: {header: ETag}}`, 200, nethttp.Header{"Etag": {"0"}}, token, targets.Reply{Token: token}, ""},
		"a packed tag":         {`{token: body, version: {header: ETag}}`, 200, nethttp.Header{"Etag": {`"7-gzip"`}}, token, targets.Reply{Token: token, Version: 7}, ""},
		"a hash for a version": {`{token: body, version: {header: ETag}}`, 200, nethttp.Header{"Etag": {`"3f2a"`}}, token, targets.Reply{Token: token}, ""},
		"a byte order mark":    {`{token: {json: $.title}}`, 200, nil, "\xef\xbb\xbf" + `{"title":"` + token + `"}`, targets.Reply{Token: token}, ""},
		"two values":           {`{token: {json: "$.items.*.v"}}`, 200, nil, `{"items":{"1":{"v":"` + token + `"},"2":{"v":"x"}}}`, targets.Reply{}, "which differ"},
		"one value twice":      {`{token: {json: "$.items.*.v"}}`, 200, nil, `{"items":{"1":{"v":"` + token + `"},"2":{"v":"` + token + `"}}}`, targets.Reply{Token: token}, ""},
		"two lines of a value": {`{token: {header: X-Value}}`, 200, nethttp.Header{"X-Value": {token, "x"}}, "", targets.Reply{}, "stands there twice"},
		"a tier":               {`{token: body, tier: {header: X-Cache}, worker: {header: X-Pod}}`, 203, nethttp.Header{"X-Cache": {" Hit"}, "X-Pod": {"p1"}}, token, targets.Reply{Token: token, Tier: targets.TierL2, Worker: "p1"}, ""},
		"a tier of their own":  {`{token: body, tier: {header: X-Cache, l1: [NEAR]}}`, 200, nethttp.Header{"X-Cache": {"near"}}, token, targets.Reply{Token: token, Tier: targets.TierL1}, ""},
		"a tier of no meaning": {`{token: body, tier: {header: X-Cache}}`, 200, nethttp.Header{"X-Cache": {"?"}}, token, targets.Reply{Token: token}, ""},
		"another's value":      {`{token: {json: $.t}, owner: {json: $.o}}`, 200, nil, `{"t":"` + token + `","o":"t2"}`, targets.Reply{Token: token, Owner: targets.Key{Family: "product", ID: "17", Tenant: "t2"}}, ""},
		"owner of a stranger":  {`{token: {json: $.t}, owner: {json: $.o}}`, 200, nil, `{"t":"x"}`, targets.Reply{Token: "x"}, ""},
		"not there":            {`{token: body}`, 404, nil, "no such product", targets.Reply{Absent: true}, ""},
		"turned away":          {`{token: body}`, 503, nil, "", targets.Reply{}, "turned away with 503"},
		"a redirect":           {`{token: body}`, 302, nil, token, targets.Reply{}, "redirect"},
		"an error":             {`{token: body}`, 500, nil, token, targets.Reply{}, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec(t, `
instances: ["http://127.0.0.1:1"]
read: {GET: "/products/{key}"}
shed: [503]
answer: `+c.answer+"\n")
			got, err := s.Common.readFrom(&targets.Request{Key: product}, asked(t), &received{status: c.status, header: c.header, body: []byte(c.body)}, targets.NewTokens(thisRun, targets.Form{}))
			if c.fails != "" {
				require.ErrorContains(t, err, c.fails)
				require.NotContains(t, err.Error(), "secret", "queries may hold secrets")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// Decoders are used again: nothing of one body is left for the next one, however it ended.
func TestBodiesOneAfterTheOther(t *testing.T) {
	long := `"` + strings.Repeat("x", 3*mostKept) + `"`
	bodies := []struct {
		text string
		want any // nil: it is no document
	}{
		{`{"a":"1"} `, map[string]any{"a": "1"}}, {"\n[2]\r\n", []any{json.Number("2")}}, {`3`, json.Number("3")}, {`44`, json.Number("44")}, {`"5"`, "5"},
		{`{"a":"1"}}`, nil}, {`[1]]`, nil}, {`{"a":"1"} x`, nil}, {`1 2`, nil}, {`{"a`, nil}, {``, nil}, {` `, nil}, {`true`, true}, {long, long[1 : len(long)-1]},
		{`{}` + strings.Repeat(" ", 2000) + `{}`, nil},
	}
	for i := range 50 * len(bodies) {
		b := bodies[(i*7+i/len(bodies))%len(bodies)]
		got, err := parseJSON([]byte(b.text))
		require.Equal(t, b.want == nil, err != nil, "%.40q: %v", b.text, err)
		require.Equal(t, b.want, got, "%.40q", b.text)
	}
}

func TestAnswersOfChanges(t *testing.T) {
	s := spec(t, `
instances: ["http://127.0.0.1:1"]
read: {GET: "/products/{key}"}
write: {PUT: "/products/{key}", json: {title: "{token}"}}
delete: {DELETE: "/products/{key}"}
shed: [503]
answer: {token: body}
`)
	for _, c := range []struct {
		kind   targets.Kind
		status int
		ok     bool
		sure   bool // that nothing was done
	}{
		{targets.Write, 200, true, false}, {targets.Write, 204, true, false}, {targets.Write, 404, false, false}, {targets.Write, 500, false, false},
		{targets.Write, 301, false, false}, {targets.Write, 503, false, true}, {targets.Delete, 404, true, false}, {targets.Delete, 503, false, true},
		{targets.Delete, 500, false, false}, {targets.Write, 100, false, false},
	} {
		err := s.Common.changed(&targets.Request{Kind: c.kind, Key: product}, asked(t), &received{status: c.status})
		require.Equal(t, c.ok, err == nil, "%s %d: %v", c.kind, c.status, err)
		if !c.ok && c.sure {
			require.ErrorIs(t, err, targets.ErrNotApplied, "%s %d", c.kind, c.status)
		} else {
			require.NotErrorIs(t, err, targets.ErrNotApplied, "%s %d: what may have been done must not count as not done", c.kind, c.status)
		}
	}
}

// Paths and queries go out as ParseRequestURI would have them, also where they are taken as they
// are.
func TestLocate(t *testing.T) {
	base := asked(t).URL
	for _, target := range []string{"/", "/products/17", "/a%2Fb", "/a?b=c&d=e%20f", "/a%20b?x", "/ä", "/a b", "//x/y", "/.", "/a;b", "/a?b?c", "/?"} {
		u, err := locate(base, target)
		require.NoError(t, err, target)
		want, err := url.ParseRequestURI(target)
		require.NoError(t, err, target)
		require.Equal(t, want.RequestURI(), u.RequestURI(), target)
		require.Equal(t, "127.0.0.1", u.Host)
	}
	for _, target := range []string{"", "products", "/\x00"} {
		_, err := locate(base, target)
		require.Error(t, err, "%q", target)
	}
}

// FuzzAnswer: no answer makes the reading of it panic, or read a token of the run that the answer
// does not hold, or take for an answer what the status denies.
func FuzzAnswer(f *testing.F) {
	token := targets.NewToken(thisRun, 3, product)
	f.Add(200, "HIT", []byte(`{"title":"`+token+`","tenant":"t1"}`), uint8(0), "$.title", "$.tenant")
	f.Add(200, token, []byte(`v=`+token+`;`), uint8(1), "v=(.*);", "x")
	f.Add(200, token, []byte(``), uint8(2), "", "")
	f.Add(404, "", []byte("\xff\x00"), uint8(3), "", "")
	f.Add(200, "7", []byte(`{"title":"\u0066`+token[1:]+`"}`), uint8(0), "$..*", "$.x")
	f.Add(200, "W/\"1\"", []byte(`[[[[1e999]]]]`), uint8(0), "$[0]", "$[?@.a]")
	f.Add(200, "", []byte(nil), uint8(3), "", "")
	f.Add(503, "", []byte(`(a)?`), uint8(1), "(x)?y|", "")
	f.Fuzz(func(t *testing.T, status int, header string, body []byte, kind uint8, at, owner string) {
		spot := func(kind uint8, text string) extractor {
			switch kind % 4 {
			case 0:
				if p, err := jsonpath.Parse(text); err == nil {
					return extractor{path: p}
				}
			case 1:
				if len(text) < 64 {
					if e, err := regexp.Compile(text); err == nil && e.NumSubexp() > 0 {
						return extractor{expr: e}
					}
				}
			case 2:
				return extractor{header: "X-Value"}
			}
			return extractor{body: true}
		}
		fam := Family{
			Answer: Answer{token: spot(kind, at), owner: map[string]extractor{"tenant": spot(kind>>2, owner)}, tier: spot(kind>>4, at), worker: spot(kind>>6, owner)},
			Absent: absences{codes: codes{404}}, Shed: codes{503},
		}
		if kind >= 128 {
			fam.Answer.version = spot(kind>>3, owner)
		}
		a := received{status: status, header: nethttp.Header{"X-Value": {header}}, body: body}
		got, err := fam.readFrom(&targets.Request{Key: product}, asked(t), &a, targets.NewTokens(thisRun, targets.Form{}))
		_ = fam.changed(&targets.Request{Kind: targets.Write, Key: product}, asked(t), &a)
		switch {
		case err != nil:
			return
		case got.Absent:
			require.Equal(t, 404, status)
			require.Empty(t, got.Token)
			return
		}
		require.True(t, status >= 200 && status < 300, "an answer with status %d", status)
		require.NotEmpty(t, got.Token, "an answer has a value")
		if targets.Holds(thisRun, got.Token) == targets.NoToken {
			require.Zero(t, got.Owner, "the owner of a foreign value is unknown")
			return
		}
		require.True(t, holds(header, body, strings.ToLower(got.Token)), "%q is in neither %q nor %q", got.Token, header, body)
	})
}

// holds says whether an answer holds a text, in capitals or not, as it stands or in a string or
// name of JSON.
func holds(header string, body []byte, text string) bool {
	if strings.Contains(strings.ToLower(header), text) || strings.Contains(strings.ToLower(string(body)), text) {
		return true
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	for {
		t, err := d.Token()
		if err == io.EOF || err != nil {
			return false
		}
		if s, ok := t.(string); ok && strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
}
