package http

import (
	"encoding/json"
	"fmt"
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

// registrar names its things itself: POST of /items makes one, PUT changes one that is there. What
// it names them depends on how many it made. A broken one answers from a cache that forgets
// nothing, or that has one place for everything.
type registrar struct {
	*httptest.Server
	name         func(n int) string
	stale, mixed bool
	reuses       bool // the id of what was deleted last is given again
	silent       bool // no id in its answers

	mu       sync.Mutex
	made     int
	free     []string
	items    map[string]string
	versions map[string]int
	kept     map[string]string
	asked    []string // ids that were not there
}

func newRegistrar(t *testing.T, name func(int) string) *registrar {
	r := &registrar{name: name, items: map[string]string{}, versions: map[string]int{}, kept: map[string]string{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (s *registrar) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct{ Title string }
	_ = json.NewDecoder(r.Body).Decode(&in) // a read has no body
	id := strings.TrimPrefix(r.URL.Path, "/items/")
	if r.Method == nethttp.MethodPost {
		s.made++
		id = s.name(s.made)
		if s.reuses && len(s.free) > 0 {
			id, s.free = s.free[len(s.free)-1], s.free[:len(s.free)-1]
		}
		s.items[id], s.versions[id] = in.Title, 1
		if !s.silent {
			w.Header().Set("Location", "http://"+r.Host+"/items/"+id+"?v=1")
		}
		w.WriteHeader(nethttp.StatusCreated)
		fmt.Fprintf(w, `{"id": %q, "version": 1, "self": "/items/%s"}`, map[bool]string{false: id}[s.silent], id)
		return
	}
	title, ok := s.items[id]
	if kept, found := s.kept[id]; found && r.Method == nethttp.MethodGet && r.URL.RawQuery == "" {
		title, ok = kept, true
	}
	switch {
	case !ok:
		s.asked = append(s.asked, id)
		w.WriteHeader(nethttp.StatusNotFound)
		return
	case r.Method == nethttp.MethodDelete:
		delete(s.items, id)
		s.free = append(s.free, id)
	case r.Method == nethttp.MethodPut:
		s.items[id] = in.Title
		s.versions[id]++
	}
	if s.stale && r.Method == nethttp.MethodGet {
		s.kept[id] = title
	}
	if s.mixed {
		for _, other := range s.items {
			title = other
		}
	}
	fmt.Fprintf(w, `{"id": %q, "title": %q, "version": %d}`, id, title, s.versions[id])
}

const (
	createsById = `create: {POST: "/items", json: {title: "{token}"}, id: {json: $.id}}`
	updates     = "\nwrite: {PUT: \"/items/{key}\", json: {title: \"{token}\"}}"
	deletes     = "\ndelete: {DELETE: \"/items/{key}\"}"
)

func (s *registrar) client(t *testing.T, more string) *Service {
	t.Helper()
	spec, problems := decode(fmt.Sprintf(`
instances: [%q]
read: {GET: "/items/{key}"}
bypass: {GET: "/items/{key}?fresh=1"}
answer: {token: {json: $.title}, owner: {key: {json: $.id}}, version: {json: $.version}}
settle: 300ms
%s`, s.URL, more))
	require.Empty(t, problems)
	c, err := New(spec, "f00dcafe")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func counted(n int) string { return strconv.Itoa(n) }

var idForms = map[string]func(int) string{
	"counted":   counted,
	"prefixed":  func(n int) string { return fmt.Sprintf("itm_%d", n) },
	"uuid":      func(n int) string { return uuidOf(strconv.Itoa(n)) },
	"object id": func(n int) string { return fmt.Sprintf("65f1a0%018x", fold(strconv.Itoa(n))) },
	"ulid":      func(n int) string { return "01" + strings.ToUpper(crockford(strconv.Itoa(n), 24)) },
	"odd":       func(n int) string { return fmt.Sprintf("a b/%d", n) },
	"snowflake": func(n int) string {
		return strconv.FormatUint(1_700_000_000_000_000_000+fold(strconv.Itoa(n))%1_000_000, 10)
	},
}

// The service's id stands for a key from its creation on; what is deleted is made again under
// another one, and a key without an id has a name that nothing has.
func TestServicesThatNameTheirThings(t *testing.T) {
	for form, name := range idForms {
		for where, create := range map[string]string{
			"json": createsById, "header": strings.Replace(createsById, "{json: $.id}", "{header: Location}", 1),
			"part of a header": strings.Replace(createsById, "{json: $.id}", `{header: Location, regexp: '/items/([^?]+)'}`, 1),
			"body":             strings.Replace(createsById, "{json: $.id}", `{regexp: '"id": "([^"]+)"'}`, 1),
			"part of a value":  strings.Replace(createsById, "{json: $.id}", `{json: $.self, regexp: '/items/(.+)'}`, 1),
		} {
			if form == "odd" && where != "json" {
				continue // an id with a slash is no part of a path
			}
			t.Run(form+" in "+where, func(t *testing.T) {
				s := newRegistrar(t, name)
				c, keys := s.client(t, create+updates+deletes), items(20)
				require.NoError(t, c.Seed(t.Context(), keys))
				unsettled, err := c.Prewarm(t.Context(), keys)
				require.NoError(t, err)
				require.Empty(t, unsettled)
				do := func(seq uint64, kind targets.Kind, k targets.Key) targets.Reply {
					reply, err := c.Do(t.Context(), targets.Request{Seq: seq, Kind: kind, Key: k, Token: targets.NewToken("f00dcafe", seq, k)})
					require.NoError(t, err)
					return reply
				}
				for i, k := range keys {
					do(uint64(i), targets.Write, k)
					require.Equal(t, targets.Reply{Token: targets.NewToken("f00dcafe", uint64(i), k), Owner: k, Version: 2}, do(0, targets.Read, k))
				}
				require.Equal(t, len(keys), s.made, "a write of what is there makes nothing")
				before := c.assigned.of(keys[0]).id
				do(0, targets.Delete, keys[0])
				require.True(t, do(0, targets.Read, keys[0]).Absent)
				require.Equal(t, before, s.asked[len(s.asked)-1], "what was deleted is still asked for")
				do(0, targets.Delete, keys[0]) // it is not there: that is what was wanted
				require.Zero(t, do(99, targets.Write, keys[0]).Version)
				require.NotEqual(t, before, c.assigned.of(keys[0]).id)
				require.Equal(t, targets.Reply{Token: targets.NewToken("f00dcafe", 99, keys[0]), Owner: keys[0]}, do(0, targets.Read, keys[0]), "its versions began anew")
				require.Equal(t, len(keys)+1, s.made)
				none := targets.Key{Family: "item", ID: targets.BeyondKeys("f00dcafe")}
				require.True(t, do(0, targets.Read, none).Absent)
				require.True(t, alike(before, s.asked[len(s.asked)-1]), "%s is asked for as %s", before, s.asked[len(s.asked)-1])
			})
		}
	}
}

// alike reports whether two ids have the same form, whatever their length where they are counted.
func alike(a, b string) bool {
	form := func(s string) string {
		s = regexp.MustCompile(`[a-z]`).ReplaceAllString(s, "a")
		s = regexp.MustCompile(`[A-Z]`).ReplaceAllString(s, "a")
		return regexp.MustCompile(`[0-9a]+`).ReplaceAllString(s, "n")
	}
	return a != b && form(a) == form(b)
}

// Without an update, every write makes another thing, which stands for the key from then on.
func TestCreateOnly(t *testing.T) {
	s := newRegistrar(t, counted)
	c, k := s.client(t, createsById), items(1)[0]
	require.True(t, c.spec.Common.Written())
	require.NoError(t, c.Seed(t.Context(), []targets.Key{k}))
	for seq := range uint64(3) {
		_, err := c.Do(t.Context(), targets.Request{Seq: seq, Kind: targets.Write, Key: k, Token: targets.NewToken("f00dcafe", seq, k)})
		require.NoError(t, err)
		for _, instance := range []string{"", targets.SourceInstance} {
			reply, err := c.Do(t.Context(), targets.Request{Key: k, Instance: instance})
			require.NoError(t, err)
			require.Equal(t, targets.NewToken("f00dcafe", seq, k), reply.Token)
		}
	}
	require.Equal(t, 4, s.made)
	_, err := c.Do(t.Context(), targets.Request{Kind: targets.Delete, Key: k})
	require.ErrorIs(t, err, targets.ErrNotApplied)
}

// A service may give the id of what was deleted to the next thing: nothing is accused for it.
func TestIdsThatAreGivenAgain(t *testing.T) {
	s := newRegistrar(t, counted)
	s.reuses = true
	c, keys := s.client(t, createsById+updates+deletes), items(2)
	require.NoError(t, c.Seed(t.Context(), keys))
	for _, k := range keys {
		_, err := c.Do(t.Context(), targets.Request{Kind: targets.Delete, Key: k})
		require.NoError(t, err)
	}
	token := targets.NewToken("f00dcafe", 7, keys[0])
	_, err := c.Do(t.Context(), targets.Request{Seq: 7, Kind: targets.Write, Key: keys[0], Token: token})
	require.NoError(t, err)
	reply, err := c.Do(t.Context(), targets.Request{Key: keys[0]})
	require.NoError(t, err)
	require.Equal(t, targets.Reply{Token: token, Owner: keys[0]}, reply)
	reply, err = c.Do(t.Context(), targets.Request{Key: keys[1]})
	require.NoError(t, err)
	require.True(t, reply.Absent)
	_, err = c.Do(t.Context(), targets.Request{Kind: targets.Delete, Key: keys[1]})
	require.NoError(t, err)
	reply, err = c.Do(t.Context(), targets.Request{Key: keys[0]})
	require.NoError(t, err)
	require.Equal(t, token, reply.Token, "only what was meant was deleted")
}

// Between a deletion and the answer of the creation that takes its id, another's value there is no
// mix-up.
func TestAnIdOnItsWayToAnotherKey(t *testing.T) {
	s := newRegistrar(t, counted)
	c, keys := s.client(t, createsById+updates+deletes), items(2)
	require.NoError(t, c.Seed(t.Context(), keys))
	_, err := c.Do(t.Context(), targets.Request{Kind: targets.Delete, Key: keys[1]})
	require.NoError(t, err)
	id := c.assigned.of(keys[1]).id
	s.items[id] = targets.NewToken("f00dcafe", 8, keys[0])
	_, err = c.Do(t.Context(), targets.Request{Key: keys[1]})
	require.ErrorIs(t, err, targets.ErrUnreadable)
	s.items[id] = targets.NewToken("f00dcafe", targets.SeedSeq, keys[1])
	reply, err := c.Do(t.Context(), targets.Request{Key: keys[1]})
	require.NoError(t, err)
	require.Equal(t, s.items[id], reply.Token, "its own old value is one")
}

// Broken twins: what was deleted or replaced is still answered, and a mix-up shows.
func TestBrokenServicesThatNameTheirThings(t *testing.T) {
	s := newRegistrar(t, counted)
	s.stale = true
	c, keys := s.client(t, createsById+updates+deletes), items(2)
	require.NoError(t, c.Seed(t.Context(), keys))
	_, err := c.Prewarm(t.Context(), keys)
	require.NoError(t, err)
	first := targets.NewToken("f00dcafe", targets.SeedSeq, keys[0])
	for _, kind := range []targets.Kind{targets.Write, targets.Delete} {
		_, err = c.Do(t.Context(), targets.Request{Seq: 1, Kind: kind, Key: keys[0], Token: targets.NewToken("f00dcafe", 1, keys[0])})
		require.NoError(t, err)
		reply, err := c.Do(t.Context(), targets.Request{Key: keys[0]})
		require.NoError(t, err)
		require.Equal(t, first, reply.Token, "stale after a %s", kind)
	}

	s = newRegistrar(t, counted)
	s.mixed = true
	c = s.client(t, createsById+updates)
	require.NoError(t, c.Seed(t.Context(), keys))
	wrong := 0
	for range 50 {
		for _, k := range keys {
			reply, err := c.Do(t.Context(), targets.Request{Key: k})
			require.NoError(t, err)
			if another(reply.Token, k) {
				wrong++
			}
		}
	}
	require.Positive(t, wrong)
}

// An answer without an id, and two keys with the same one, are said.
func TestIdsThatCannotBe(t *testing.T) {
	s := newRegistrar(t, counted)
	s.silent = true
	require.ErrorContains(t, s.client(t, createsById).Seed(t.Context(), items(1)), `POST /items: created, but the answer can't be understood: no id at $`)
	s = newRegistrar(t, func(int) string { return "same" })
	require.ErrorContains(t, s.client(t, createsById).Seed(t.Context(), items(2)), "already")
	for text, says := range map[string]string{
		`create: {POST: "/items", json: {title: "{token}"}}`:                                           "where in the answer is the id?",
		`create: {POST: "/items", json: {title: "x"}, id: {json: $.id}}`:                               "{token} is missing",
		`create: {POST: "/items", json: {title: "{token}"}, id: {json: $.id, header: Location}}`:       "where is the id?",
		`create: {POST: "/items", json: {title: "{token}"}, id: {header: Location, regexp: 'items/'}}`: "needs a group",
	} {
		_, problems := decode("instances: [\"http://127.0.0.1:1\"]\nread: {GET: \"/{key}\"}\nanswer: {token: {json: $.title}}\n" + text)
		require.Contains(t, problems, says, text)
	}
}

// An answer without a body has no version; the versions of others stay.
func TestVersionsBesideEmptyAnswers(t *testing.T) {
	c := newRegistrar(t, counted).client(t, createsById+updates)
	for _, body := range []string{"", "saved"} {
		require.Zero(t, c.habits.version("item", &c.spec.Common.Answer, &received{status: 204, body: []byte(body)}))
	}
	require.Equal(t, uint64(3), c.habits.version("item", &c.spec.Common.Answer, &received{status: 200, body: []byte(`{"version": 3}`)}))
}
