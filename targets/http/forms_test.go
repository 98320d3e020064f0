package http

import (
	"encoding/json"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/targets"
)

// picky is a service whose fields take values and names of one form only: PUT, GET and DELETE of
// /items/ID, the value in {"value": ...}. A broken one mixes its keys up, cuts what it stores, or
// never forgets its first value.
type picky struct {
	*httptest.Server
	id, value *regexp.Regexp                // of the JSON as it is sent
	shown     func(json.RawMessage) string  // how it answers; nil: as stored
	stored    func(string, string) string   // what it stores of a key's value; nil: all of it
	asked     func(id string) (real string) // which key it answers; nil: the one asked for

	mu       sync.Mutex
	items    map[string]json.RawMessage
	refusals int
}

func newPicky(t *testing.T, id, value string) *picky {
	p := &picky{id: regexp.MustCompile("^(" + id + ")$"), value: regexp.MustCompile("^(" + value + ")$"), items: map[string]json.RawMessage{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *picky) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if !p.id.MatchString(id) {
		p.refusals++
		w.WriteHeader(nethttp.StatusUnprocessableEntity)
		fmt.Fprintf(w, `{"detail": "bad id %s"}`, id)
		return
	}
	if r.Method == nethttp.MethodPut {
		var in struct{ Value json.RawMessage }
		b, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(b, &in); err != nil || !p.value.Match(in.Value) {
			p.refusals++
			w.WriteHeader(nethttp.StatusUnprocessableEntity)
			fmt.Fprintf(w, `{"detail": "bad value in %s"}`, b)
			return
		}
		if p.stored != nil {
			in.Value = json.RawMessage(p.stored(id, string(in.Value)))
		}
		p.items[id] = in.Value
		return
	}
	if p.asked != nil {
		id = p.asked(id)
	}
	v, ok := p.items[id]
	switch {
	case r.Method == nethttp.MethodDelete:
		delete(p.items, id)
	case !ok:
		w.WriteHeader(nethttp.StatusNotFound)
	case p.shown != nil:
		fmt.Fprintf(w, `{"id": %q, "value": %s}`, id, p.shown(v))
	default:
		fmt.Fprintf(w, `{"id": %q, "value": %s}`, id, v)
	}
}

func items(n int) (keys []targets.Key) {
	for i := range n {
		keys = append(keys, targets.Key{Family: "item", ID: strconv.Itoa(i + 1)})
	}
	return keys
}

var pickyFields = map[string]struct{ id, value, more string }{
	"at most 40 characters": {`\d+`, `"[^"]{1,40}"`, `token: {length: 40}`},
	"at most 20 characters": {`\d+`, `"[^"]{1,20}"`, `token: {form: text, length: 20}`},
	"at most 8 characters":  {`\d+`, `"[^"]{1,8}"`, `token: {form: text, length: 8}`},
	"capitals":              {`\d+`, `"[A-Z0-9]+"`, `token: {form: text, letters: upper}`},
	"capitals, 16":          {`\d+`, `"[A-Z0-9]{1,16}"`, `token: {form: text, letters: upper, length: 16}`},
	"12 digits":             {`\d+`, `\d{1,12}`, `token: {form: integer, digits: 12}`},
	"an integer":            {`\d+`, `[1-9]\d{8}`, `token: integer`},
	"digits as text":        {`\d+`, `"\d{12}"`, "token: {form: integer, digits: 12}\nwrite: {PUT: \"/items/{key}\", json: {value: \"{token:text}\"}}"},
	"a price":               {`\d+`, `\d+\.\d\d`, `token: {form: decimal, digits: 9, places: 2}`},
	"a price as text":       {`\d+`, `"\d{1,6}\.\d\d"`, "token: {form: decimal, digits: 8}\nwrite: {PUT: \"/items/{key}\", json: {value: \"{token:text}\"}}"},
	"a UUID":                {`\d+`, `"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"`, `token: uuid`},
	"a UUID as key":         {`[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`, `".*"`, `key: {form: uuid}`},
	"a ULID as key":         {`[0-7][0-9A-HJKMNP-TV-Z]{25}`, `".*"`, `key: ulid`},
	"a key with a prefix":   {`sku-\d{6}`, `".*"`, `key: {pattern: "sku-{key:06d}"}`},
	"a padded key":          {`\d{4}`, `".*"`, "read: {GET: \"/items/{key:04d}\"}\nwrite: {PUT: \"/items/{key:04d}\", json: {value: \"{token}\"}}\ndelete: {DELETE: \"/items/{key:04d}\"}"},
	"8 digits as key":       {`[1-9]\d{7}`, `".*"`, `key: {form: integer, digits: 8}`},
	"a prefix and a UUID":   {`itm_[0-9a-f-]{36}`, `".*"`, `key: {form: uuid, pattern: "itm_{key}"}`},
	"everything at once":    {`[0-9A-F-]{36}`, `\d{1,10}`, "token: {form: integer, digits: 10}\nread: {GET: \"/items/{key:upper}\"}\nwrite: {PUT: \"/items/{key:upper}\", json: {value: \"{token}\"}}\ndelete: {DELETE: \"/items/{key:upper}\"}\nkey: uuid"},
}

// talkAs makes a client whose suite has more lines, or others in place of the usual ones.
func (p *picky) talkAs(t *testing.T, more string) *Service {
	t.Helper()
	base := map[string]string{"read": `{GET: "/items/{key}"}`, "write": `{PUT: "/items/{key}", json: {value: "{token}"}}`, "delete": `{DELETE: "/items/{key}"}`}
	for line := range strings.Lines(more) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		base[name] = rest
	}
	text := fmt.Sprintf("instances: [%q]\nanswer: {token: {json: $.value}, owner: {key: {json: $.id}}}\nsettle: 300ms\n", p.URL)
	for name, rest := range base {
		text += name + ": " + rest + "\n"
	}
	spec, problems := decode(text)
	require.Empty(t, problems)
	s, err := New(spec, "f00dcafe")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// A field that takes values of one form only is written and read like any other; absence is looked
// at by a key of the same form; nothing is ever refused.
func TestFieldsOfEveryForm(t *testing.T) {
	for name, c := range pickyFields {
		t.Run(name, func(t *testing.T) {
			p := newPicky(t, c.id, c.value)
			s, keys := p.talkAs(t, c.more), items(60)
			require.NoError(t, s.Seed(t.Context(), keys))
			unsettled, err := s.Prewarm(t.Context(), keys)
			require.NoError(t, err)
			require.Empty(t, unsettled)
			require.Len(t, p.items, len(keys))
			for i, k := range keys {
				token := targets.NewToken("f00dcafe", uint64(i), k)
				_, err := s.Do(t.Context(), targets.Request{Seq: uint64(i), Kind: targets.Write, Key: k, Token: token})
				require.NoError(t, err)
				reply, err := s.Do(t.Context(), targets.Request{Key: k})
				require.NoError(t, err)
				require.Equal(t, targets.Reply{Token: token, Owner: k}, reply)
			}
			for _, id := range []string{targets.BeyondKeys("f00dcafe"), targets.BeyondKeys("deadbeef")} {
				reply, err := s.Do(t.Context(), targets.Request{Key: targets.Key{Family: "item", ID: id}})
				require.NoError(t, err)
				require.True(t, reply.Absent)
			}
			_, err = s.Do(t.Context(), targets.Request{Kind: targets.Delete, Key: keys[0]})
			require.NoError(t, err)
			reply, err := s.Do(t.Context(), targets.Request{Key: keys[0]})
			require.NoError(t, err)
			require.True(t, reply.Absent)
			require.Zero(t, p.refusals)
		})
	}
}

// The same fields in a cache that mixes its keys up, or that keeps an old value: each shows.
func TestBrokenServicesWithFieldsOfEveryForm(t *testing.T) {
	for name, c := range pickyFields {
		t.Run(name, func(t *testing.T) {
			p := newPicky(t, c.id, c.value)
			s, keys := p.talkAs(t, c.more), items(2)
			var names []string
			for _, k := range keys {
				require.NoError(t, s.Seed(t.Context(), []targets.Key{k}))
				for name := range p.items {
					if len(names) == 0 || names[0] != name {
						names = append(names, name)
						break
					}
				}
			}
			require.Len(t, p.items, 2)
			for id := range p.items {
				if id != names[0] {
					names[1] = id
				}
			}
			p.asked = func(id string) string { return names[0] }
			wrong := 0
			for _, k := range keys {
				reply, err := s.Do(t.Context(), targets.Request{Key: k})
				require.NoError(t, err)
				parsed, ok := targets.ParseToken(reply.Token)
				require.True(t, ok, "%q", reply.Token)
				if !parsed.For(k) {
					require.NotEqual(t, k, reply.Owner)
					wrong++
				}
			}
			require.Equal(t, 1, wrong, "one of two keys answers the other's value")

			p.asked = nil
			p.stored = func(id, _ string) string { return string(p.items[id]) } // it never forgets
			token := targets.NewToken("f00dcafe", 1, keys[0])
			_, err := s.Do(t.Context(), targets.Request{Seq: 1, Kind: targets.Write, Key: keys[0], Token: token})
			require.NoError(t, err)
			reply, err := s.Do(t.Context(), targets.Request{Key: keys[0]})
			require.NoError(t, err)
			require.Equal(t, targets.NewToken("f00dcafe", targets.SeedSeq, keys[0]), reply.Token)
		})
	}
}

// What is stored shorter than it was sent is a part of a token, and what something is appended to
// still holds the whole one.
func TestWhatIsDoneToTokens(t *testing.T) {
	k := items(1)[0]
	for name, c := range map[string]struct {
		more   string
		stored func(id, v string) string
		holds  targets.Wholeness
	}{
		"shortened":           {"", func(_, v string) string { return v[:28] + `"` }, targets.PartOfToken},
		"shortened, as asked": {"token: {length: 30}", func(_, v string) string { return v[:min(31, len(v)-1)] + `"` }, targets.WholeToken},
		"suffix":              {"", func(_, v string) string { return v[:len(v)-1] + `.jpg"` }, targets.WholeToken},
		"suffix of a UUID":    {"token: uuid", func(_, v string) string { return v[:len(v)-1] + `.jpg"` }, targets.WholeToken},
		"capitals":            {"", func(_, v string) string { return strings.ToUpper(v) }, targets.WholeToken},
		"short capitals":      {"token: {length: 20}", func(_, v string) string { return strings.ToUpper(v) }, targets.WholeToken},
		"ten of 12 digits":    {"token: {form: integer, digits: 12}", func(_, v string) string { return v[:10] }, targets.NoToken},
		"a float":             {"token: {form: integer, digits: 12}", func(_, v string) string { return v + ".0" }, targets.WholeToken},
		"no zeros":            {"token: decimal", func(_, v string) string { return strings.TrimRight(v, "0") + "0" }, targets.WholeToken},
		"rounded":             {"token: {form: decimal, places: 4}", func(_, v string) string { return v[:len(v)-3] + "5" }, targets.NoToken},
		"replaced":            {"", func(string, string) string { return `"Chair"` }, targets.NoToken},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPicky(t, `\d+`, `.*`)
			p.stored = c.stored
			s := p.talkAs(t, c.more)
			token := targets.NewToken("f00dcafe", 3, k)
			_, err := s.Do(t.Context(), targets.Request{Seq: 3, Kind: targets.Write, Key: k, Token: token})
			require.NoError(t, err)
			reply, err := s.Do(t.Context(), targets.Request{Key: k})
			require.NoError(t, err)
			require.Equal(t, c.holds, targets.Holds("f00dcafe", reply.Token), "%q", reply.Token)
			if c.holds == targets.WholeToken {
				require.Equal(t, token, reply.Token)
			}
		})
	}
}

// More writes than a form can tell apart are not sent.
func TestNoMoreTokensThanThereIsRoomFor(t *testing.T) {
	p := newPicky(t, `\d+`, `\d{4}`)
	s, k := p.talkAs(t, "token: {form: integer, digits: 4}"), items(1)[0]
	for seq := range uint64(900) {
		_, err := s.Do(t.Context(), targets.Request{Seq: seq, Kind: targets.Write, Key: k, Token: targets.NewToken("f00dcafe", seq, k)})
		require.NoError(t, err)
	}
	_, err := s.Do(t.Context(), targets.Request{Seq: 900, Kind: targets.Write, Key: k, Token: targets.NewToken("f00dcafe", 900, k)})
	require.ErrorIs(t, err, targets.ErrNotApplied)
	require.ErrorContains(t, err, "could not be told from others'")
}

func TestFormsThatCannotBe(t *testing.T) {
	for text, says := range map[string]string{
		"token: boolean":                               "a boolean has two values, and no write could be recognised by one",
		"token: {form: colour}":                        `unknown form of a token; text, integer, decimal, uuid, ulid`,
		"token: {form: integer, length: 4}":            "length is said of texts",
		"token: {form: uuid, digits: 4}":               "digits is said of numbers",
		"token: {form: integer, digits: 30}":           "at most 18 digits",
		"token: {form: integer, digits: 2}":            "digits",
		"token: {form: integer, places: 2}":            "places is said of decimal numbers",
		"token: {form: decimal, digits: 4, places: 4}": "before and behind the point",
		"token: {length: 2}":                           "length",
		"key: {form: hex}":                             "form of keys",
		"key: {pattern: sku}":                          "every key would have the same name",
		`key: {pattern: "sku-{key:x}"}`:                "a placeholder can't be written so; {key:06d}",
		`key: {pattern: "sku-{token}-{key}"}`:          "a pattern is of the key alone",
		"key: {form: uuid, digits: 3}":                 "digits are said of integers",
		"key: {form: integer, digits: 40}":             "at most 18 digits",
	} {
		_, problems := decode("instances: [\"http://127.0.0.1:1\"]\nread: {GET: \"/{key}\"}\n" + text)
		require.Contains(t, problems, says, text)
	}
}

// A name of a key beyond the drill's is never one of the drill's, however narrow the form.
func TestNamesBeyondKeys(t *testing.T) {
	for text, room := range map[string]uint64{"key: {form: integer, digits: 3}": 809, `key: {pattern: "s{key:03d}"}`: 899, "key: uuid": 0, "": 0} {
		s, problems := decode("instances: [\"http://127.0.0.1:1\"]\nread: {GET: \"/{key}\"}\n" + text)
		require.Empty(t, problems)
		require.Equal(t, room, s.Common.MostKeys(), text)
		names := map[string]bool{}
		for i := range 809 {
			name := s.Common.Key.name(strconv.Itoa(i + 1))
			require.False(t, names[name], "%s twice", name)
			names[name] = true
		}
		for i := range 200 {
			name := s.Common.Key.name(targets.BeyondKeys(strconv.Itoa(i)))
			require.False(t, names[name], "%s: %s is a key of the drill", text, name)
		}
	}
}

// A string of JSON that is one placeholder is a number where its value is one, and nothing else
// changes.
func TestNumbersInJSON(t *testing.T) {
	s, problems := decode(`
instances: ["http://127.0.0.1:1"]
token: {form: decimal, digits: 6}
key: integer
read: {GET: "/{key}"}
write: {PUT: "/{key}", json: {id: "{key}", as_text: "{key:text}", price: "{token}", text: "EUR {token}", quoted: "\"{token}\"", "{key}": ["{token}", "{token:text}", "{seq:number}", "{run:number}"]}}
answer: {token: {json: $.price}}
`)
	require.Empty(t, problems)
	r := targets.Request{Seq: 9, Key: targets.Key{ID: "17"}}
	got := s.Common.Write.Body.fill(nil, &filling{run: "f00d", r: &r, key: "17", token: "12.50", keyNumber: true, tokenNumber: true})
	require.JSONEq(t, `{"id": 17, "as_text": "17", "price": 12.50, "text": "EUR 12.50", "quoted": "\"12.50\"", "17": [12.50, "12.50", 9, "f00d"]}`, string(got))
	require.Contains(t, string(got), `"price":12.50,`, "with its places")
}
