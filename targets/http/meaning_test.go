package http

import (
	"bytes"
	"fmt"
	nethttp "net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// What absence looks like is the service's own habit, and what only resembles it is no absence.
func TestAbsenceByContent(t *testing.T) {
	for _, c := range []struct {
		absent string
		status int
		body   string
		want   bool
	}{
		{"{json: $.data.item, is: null}", 200, `{"data":{"item":null}}`, true},
		{"{json: $.data.item, is: null}", 200, `{"data":{"item":{"title":"x"}}}`, false},
		{"{json: $.data.item, is: null}", 200, `{"errors":[{"message":"down"}],"data":{"item":null}}`, false}, // a failure, and no absence
		{"{json: $.data.item, is: null}", 200, `{"errors":[],"data":{"item":null}}`, true},
		{"{json: $.data.item, is: null}", 200, `{"data":{}}`, false},
		{"{json: $.data.item, is: null}", 404, `{"data":{"item":null}}`, false}, // only what the suite says
		{"{json: $.data.item, is: null}", 200, `<html>`, false},
		{"{json: $.data.item, is: absent}", 200, `{"data":{}}`, true},
		{"{json: '$.errors[0].code', is: NOT_FOUND}", 200, `{"errors":[{"code":"NOT_FOUND"}],"data":null}`, true},
		{"{json: '$.errors[0].code', is: NOT_FOUND}", 200, `{"errors":[{"code":"TIMEOUT"}],"data":null}`, false},
		{"{json: $, is: null}", 200, `null`, true}, {"{json: $, is: null}", 200, ``, false},
		{"{json: $, is: empty}", 200, `[]`, true}, {"{json: $, is: empty}", 200, ` {} `, true}, {"{json: $, is: empty}", 200, ``, true},
		{"{json: $, is: empty}", 200, `{"title":"x"}`, false}, {"{json: $.items, is: empty}", 200, `{"items":[]}`, true},
		{"{json: $.found, is: false}", 200, `{"found":false}`, true}, {"{json: $.found, is: false}", 200, `{"found":true,"title":"x"}`, false},
		{"{regexp: '^(NOT FOUND)$', is: NOT FOUND}", 200, `NOT FOUND`, true}, {"{regexp: '(<item/>)', is: present}", 200, `<items><item/></items>`, true},
		{"{header: X-Found, is: 0}", 200, `{}`, false},
		{"204", 204, ``, true}, {"[404, 204]", 404, ``, true}, {"[404, {json: $.data.item, is: null}]", 404, ``, true},
		{"[404, {json: $.data.item, is: null}]", 200, `{"data":{"item":null}}`, true},
	} {
		t.Run(c.absent+" "+c.body, func(t *testing.T) {
			s := spec(t, "instances: [\"http://127.0.0.1:1\"]\nread: {GET: \"/{key}\"}\nanswer: {token: {json: $.title}}\nabsent: "+c.absent+"\n")
			got, err := s.Common.readFrom(&targets.Request{Key: product}, asked(t), &received{status: c.status, body: []byte(c.body)}, targets.NewTokens(thisRun, targets.Form{}))
			require.Equal(t, c.want, err == nil && got.Absent, "%v %v", got, err)
		})
	}
}

// An answer without a value says what the suite would write if it means that nothing is there.
func TestWhatAbsenceMayLookLike(t *testing.T) {
	s := spec(t, "instances: [\"http://127.0.0.1:1\"]\nread: {GET: \"/{key}\"}\nanswer: {token: {json: $.data.item.title}}\n")
	for body, want := range map[string]string{
		`null`: "absent: {json: $, is: null}", `[]`: "absent: {json: $, is: empty}", `{}`: "absent: {json: $, is: empty}", ``: "absent: [204]",
		`{"data":{"item":null}}`: "absent: {json: $.data.item, is: null}", `{"data":{"item":[]}}`: "absent: {json: $.data.item, is: empty}",
		`{"data":{"x":1}}`: "absent: {json: $.data.item, is: absent}", `<html>`: "", `{"errors":[1],"data":{"item":null}}`: "",
	} {
		_, err := s.Common.readFrom(&targets.Request{Key: product}, asked(t), &received{status: 204, body: []byte(body)}, targets.NewTokens(thisRun, targets.Form{}))
		var g *GarbledError
		require.ErrorAs(t, err, &g, body)
		require.Equal(t, want, g.Fix, body)
	}
}

// A good status does not make an acknowledgement of what says otherwise.
func TestSuccessByContent(t *testing.T) {
	for _, c := range []struct {
		more   string
		status int
		body   string
		want   targets.Outcome
	}{
		{"", 200, `{"version":1}`, targets.OK}, {"", 204, ``, targets.OK}, {"", 200, `saved`, targets.OK},
		{"", 202, `{"task":1}`, targets.Accepted}, {"accepted: []", 202, `{}`, targets.OK}, {"accepted: [200, 202]", 200, `{}`, targets.Accepted},
		{"accepted: [303]", 303, ``, targets.Accepted},
		{"", 200, `{"errors":[{"message":"try again"}],"data":null}`, targets.Unknown},
		{"", 200, "\n {\"errors\":[1]}", targets.Unknown}, {"", 200, "\xef\xbb\xbf{\"errors\":[1]}", targets.Unknown},
		{"", 202, `{"errors":[1]}`, targets.Unknown},
		{"", 200, `{"errors":[]}`, targets.OK}, {"", 200, `{"errors":0}`, targets.OK}, {"", 200, `{"data":{"errors":[1]}}`, targets.OK},
		{"done: {json: $.errors, is: absent}", 200, `{"errors":null}`, targets.Unknown}, {"done: {json: $.errors, is: absent}", 200, `{"data":{}}`, targets.OK},
		{"done: {json: $.errors, is: absent}", 200, `<html>oops</html>`, targets.Unknown}, {"done: {json: $.errors, is: absent}", 204, ``, targets.OK},
		{"done: {json: $.ok, is: true}", 200, `{"ok":false}`, targets.Unknown}, {"done: {json: $.ok, is: true}", 200, `{"ok":true}`, targets.OK},
		{"done: {json: $.success, is: true}", 200, ``, targets.Unknown},
		{"done: [{json: $.ok, is: true}, {json: $.error, is: null}]", 200, `{"ok":true,"error":"x"}`, targets.Unknown},
		{"done: [{json: $.ok, is: true}, {json: $.error, is: null}]", 200, `{"ok":true,"error":null}`, targets.OK},
		{"done: {regexp: '<status>(.*)</status>', is: OK}", 200, `<r><status>FAILED</status></r>`, targets.Unknown},
		{"done: {regexp: '<status>(.*)</status>', is: OK}", 200, `<r><status>OK</status></r>`, targets.OK},
		{"done: {header: X-Result, is: ok}", 200, ``, targets.Unknown},
	} {
		for _, kind := range []targets.Kind{targets.Write, targets.Delete} {
			t.Run(fmt.Sprintf("%s %d %s %s", c.more, c.status, c.body, kind), func(t *testing.T) {
				e := newEcho(t, plainHTTP)
				s := talkTo(t, e.URL, c.more)
				e.status, e.answer = c.status, c.body
				r, err := s.Do(t.Context(), targets.Request{Kind: kind, Key: chair, Token: "x"})
				switch c.want {
				case targets.Unknown:
					require.Error(t, err)
					require.NotErrorIs(t, err, targets.ErrNotApplied, "it may have been done")
					n, first := s.Undone()
					require.EqualValues(t, 1, n)
					require.Contains(t, first, "does not mean that the change was made")
				default:
					require.NoError(t, err)
					require.Equal(t, c.want == targets.Accepted, r.Accepted)
				}
			})
		}
	}
}

func TestStatusesThatMeanTwoThings(t *testing.T) {
	for more, says := range map[string]string{
		"absent: [404, 200]": "200 is the status of answers that hold a value",
		"absent: [404, 201]": "201 is the status of answers that hold a value",
		"{absent: [204], answer: {token: {header: X-Value}}}": "204 is the status of answers that hold a value",
		"shed: [200]":                    "200 is the status of what was done",
		"rejected: [204]":                "204 is the status of what was done",
		"accepted: [404]":                "404 accepts nothing",
		"shed: [404]":                    "404 can't mean both absent and shed",
		"{shed: [503], rejected: [503]}": "503 can't mean both shed and rejected",
		"absent: {json: $.x}":            "what is there then?",
		"done: {is: null}":               "where is the sign of what was done?",
		"absent: [404, 204]":             "",
		"rejected: [404]":                "", // of a write to what is not there
	} {
		text := strings.TrimSuffix(strings.TrimPrefix(more, "{"), "}")
		if !strings.HasPrefix(more, "{") {
			text = more
		}
		_, problems := decode("{instances: [\"http://127.0.0.1:1\"], read: {GET: \"/{key}\"}, " + text + "}")
		if says == "" {
			require.Empty(t, problems, more)
		} else {
			require.Contains(t, problems, says, more)
		}
	}
}

func TestTiersOfManyCaches(t *testing.T) {
	for _, c := range []struct {
		tier   string
		header nethttp.Header
		want   string
	}{
		{"header: X-Cache", nethttp.Header{"X-Cache": {"MISS, HIT"}}, ""}, {"header: X-Cache", nethttp.Header{"X-Cache": {"MISS", "HIT"}}, ""},
		{"header: X-Cache, layer: last", nethttp.Header{"X-Cache": {"MISS, HIT"}}, targets.TierL2},
		{"header: X-Cache, layer: first", nethttp.Header{"X-Cache": {"MISS", "HIT"}}, ""}, // a miss of then, repeated by the hit
		{"header: X-Cache, layer: first", nethttp.Header{"X-Cache": {"MISS, MISS"}}, targets.TierSource},
		{"header: X-Cache, layer: 2", nethttp.Header{"X-Cache": {"MISS, HIT"}}, targets.TierL2}, {"header: X-Cache, layer: 3", nethttp.Header{"X-Cache": {"MISS, HIT"}}, ""},
		{"header: X-Cache", nethttp.Header{"X-Cache": {"TCP_HIT"}}, targets.TierL2}, {"header: X-Cache", nethttp.Header{"X-Cache": {"TCP_MISS"}}, targets.TierSource},
		{"header: X-Cache", nethttp.Header{"X-Cache": {"TCP_MEM_HIT"}}, targets.TierL2}, {"header: X-Cache", nethttp.Header{"X-Cache": {"Hit from cloudfront"}}, targets.TierL2},
		{"header: X-Cache", nethttp.Header{"X-Cache": {"RefreshHit from cloudfront"}}, targets.TierSource},
		{"header: X-Cache", nethttp.Header{"X-Cache": {"MISS"}, "Age": {"12"}}, ""}, {"header: X-Cache", nethttp.Header{"X-Cache": {"MISS"}, "Age": {"0"}}, targets.TierSource},
		{"header: X-Cache", nethttp.Header{"X-Cache": {"HIT"}, "Age": {"12"}}, targets.TierL2},
		{"header: Cache-Status", nethttp.Header{"Cache-Status": {`ExampleCache; hit; ttl=376`}}, targets.TierL2},
		{"header: Cache-Status", nethttp.Header{"Cache-Status": {`ExampleCache; fwd=uri-miss; stored`}}, targets.TierSource},
		{"header: Cache-Status", nethttp.Header{"Cache-Status": {`Origin; fwd=miss, "CDN"; hit`}}, ""},
		{"header: Cache-Status, layer: cdn", nethttp.Header{"Cache-Status": {`Origin; fwd=miss, "CDN"; hit`}}, targets.TierL2},
		{"header: Cache-Status, layer: Origin", nethttp.Header{"Cache-Status": {`Origin; fwd=miss`, `"CDN"; hit`}}, ""},
		{"header: Cache-Status", nethttp.Header{"Cache-Status": {`Quiet`}}, ""},
	} {
		s := spec(t, "instances: [\"http://127.0.0.1:1\"]\nread: {GET: \"/{key}\"}\nanswer: {token: body, tier: {"+c.tier+"}}\n")
		require.Equal(t, c.want, s.Common.Answer.tierIn(&received{status: 200, header: c.header}), "%s of %v", c.tier, c.header)
	}
}

func TestSeveralCachesAreNamed(t *testing.T) {
	e := newEcho(t, plainHTTP)
	s := talkTo(t, e.URL, "")
	e.answer, e.header = `{"title": "x", "tenant": "t1"}`, map[string]string{"X-Cache": "MISS, HIT"}
	for range 2 {
		r, err := s.Do(t.Context(), targets.Request{Key: chair})
		require.NoError(t, err)
		require.Empty(t, r.Tier)
	}
	require.Len(t, s.Habits(), 1)
	require.Contains(t, s.Habits()[0], "where several caches speak (MISS, HIT)")
}

func pack(t *testing.T, coding, text string) string {
	var b bytes.Buffer
	switch coding {
	case "gzip":
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		require.NoError(t, w.Close())
	case "deflate":
		w := zlib.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		require.NoError(t, w.Close())
	case "raw":
		w, _ := flate.NewWriter(&b, 6)
		_, _ = w.Write([]byte(text))
		require.NoError(t, w.Close())
	case "zstd":
		w, _ := zstd.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		require.NoError(t, w.Close())
	}
	return b.String()
}

func TestPackedAnswers(t *testing.T) {
	e := newEcho(t, plainHTTP)
	s := talkTo(t, e.URL, "max_body: 1000")
	token := targets.NewToken("run", 3, chair)
	plain := fmt.Sprintf(`{"title": %q, "tenant": "t1"}`, token)
	for _, c := range []struct{ coding, body, says string }{
		{"gzip", pack(t, "gzip", plain), ""}, {"x-gzip", pack(t, "gzip", plain), ""}, {"GZIP", pack(t, "gzip", plain), ""}, {"identity", plain, ""},
		{"deflate", pack(t, "deflate", plain), ""}, {"deflate", pack(t, "raw", plain), ""}, {"zstd", pack(t, "zstd", plain), ""},
		{"deflate, gzip", pack(t, "gzip", pack(t, "deflate", plain)), ""},
		{"gzip", pack(t, "gzip", "\xef\xbb\xbf"+plain), ""},
		{"br", "whatever", "Content-Encoding br: a drill can undo gzip, deflate and zstd"}, {"gzip", plain, "Content-Encoding gzip"},
		{"gzip", pack(t, "gzip", plain+strings.Repeat(" ", 100_000)), "longer than 1000 bytes (max_body)"},
		{"zstd", pack(t, "zstd", plain+strings.Repeat(" ", 100_000)), "longer than 1000 bytes (max_body)"},
	} {
		e.answer, e.header = c.body, map[string]string{"Content-Encoding": c.coding}
		r, err := s.Do(t.Context(), targets.Request{Key: chair})
		if c.says != "" {
			require.ErrorContains(t, err, c.says)
			continue
		}
		require.NoError(t, err, c.coding)
		require.Equal(t, token, r.Token, c.coding)
	}
}

// Versions that begin with 0 are as good as others; where one is no number, none is used.
func TestVersionsOfAnyHabit(t *testing.T) {
	e := newEcho(t, plainHTTP)
	s := talkTo(t, e.URL, "settle: 1ms")
	read := func(tag string) uint64 {
		e.answer, e.header = `{"title": "x", "tenant": "t1"}`, map[string]string{"ETag": tag}
		r, err := s.Do(t.Context(), targets.Request{Key: chair})
		require.NoError(t, err)
		return r.Version
	}
	require.EqualValues(t, 5, read(`"5"`))
	require.EqualValues(t, 1, read("0"))
	require.EqualValues(t, 8, read(`W/"7-gzip"`))
	require.Empty(t, s.Habits())
	require.Zero(t, read(`"2026-11-27T05:00:00Z"`))
	require.Zero(t, read("9"), "what is no number once is left out")
	require.Len(t, s.Habits(), 1)

	s = talkTo(t, e.URL, "settle: 1ms")
	_, err := s.Prewarm(t.Context(), []targets.Key{chair})
	require.NoError(t, err)
	require.Zero(t, read("0"), "what was given is not taken back")
	require.EqualValues(t, 7, read("7"))
}

// A path that was seen to select other keys' values does not tell whose a value is; one that
// selects a single value tells of a leak.
func TestValuesOfNeighbours(t *testing.T) {
	e := newEcho(t, plainHTTP)
	other := targets.NewToken("run", 4, targets.Key{Family: "product", ID: "18", Tenant: "t1"})
	mine := targets.NewToken("run", 3, chair)
	for path, leaks := range map[string]bool{"$.items.*.title": false, "$.items.b.title": true} {
		specs, problems := decode(fmt.Sprintf("{instances: [%q], read: {GET: \"/{key}\"}, answer: {token: {json: %q}}}", e.URL, path))
		require.Empty(t, problems)
		s, err := New(specs, "run")
		require.NoError(t, err)
		e.answer = fmt.Sprintf(`{"items": {"a": {"title": %q}, "b": {"title": %q}}}`, mine, other)
		_, err = s.Do(t.Context(), targets.Request{Key: chair})
		require.Equal(t, leaks, err == nil)
		e.answer = fmt.Sprintf(`{"items": {"b": {"title": %q}}}`, other)
		r, err := s.Do(t.Context(), targets.Request{Key: chair})
		require.Equal(t, leaks, err == nil, err)
		require.Equal(t, leaks, r.Token == other)
		require.NoError(t, s.Close())
	}
}

// A first value that was only accepted may still be made during the drill, until it was seen.
func TestAcceptedFirstValues(t *testing.T) {
	e := newEcho(t, plainHTTP)
	s := talkTo(t, e.URL, "settle: 1ms")
	e.status = 202
	require.NoError(t, s.Seed(t.Context(), []targets.Key{chair}))
	e.status, e.answer = 200, fmt.Sprintf(`{"title": %q, "tenant": "t1"}`, targets.NewToken("run", targets.SeedSeq, chair))
	_, err := s.Prewarm(t.Context(), []targets.Key{chair})
	require.NoError(t, err)
	require.Zero(t, s.Doubted(), "it was seen")
	e.answer = `{"title": "an old one", "tenant": "t1"}`
	require.NoError(t, s.Seed(t.Context(), []targets.Key{chair}))
	e.status = 202
	require.NoError(t, s.Seed(t.Context(), []targets.Key{chair}))
	e.status = 200
	_, err = s.Prewarm(t.Context(), []targets.Key{chair})
	require.NoError(t, err)
	require.Equal(t, 1, s.Doubted())
}
