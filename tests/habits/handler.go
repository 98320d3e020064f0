package habits

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// request is what a client asks for, however it does.
type request struct {
	kind       string // get, put, delete, create
	tenant, id string
	value      string
	fresh      bool // past the caches
}

// Handler is one worker of the service.
func (s *Service) Handler(worker int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		a := answer{habits: s.habits, to: w, worker: worker}
		if r.URL.Path == "/healthz" {
			a.send(http.StatusOK, map[string]any{"ok": true})
			return
		}
		if s.habits.Is("limit", "bucket") && !s.bucket.take() {
			w.Header().Set("Retry-After", "1")
			a.send(http.StatusTooManyRequests, map[string]any{"detail": "slow down"})
			return
		}
		asked, ok := s.understand(r, body)
		if !ok {
			a.send(http.StatusBadRequest, map[string]any{"detail": "what?"})
			return
		}
		s.serve(worker, asked, &a)
	})
}

// understand takes a request apart.
func (s *Service) understand(r *http.Request, body []byte) (asked request, ok bool) {
	asked.fresh = r.URL.Query().Get("fresh") != ""
	if s.habits.Is("style", "graphql") {
		var in struct {
			Query     string
			Variables struct {
				K, Tenant string
				T         any
			}
		}
		if !decode(body, &in) || r.URL.Path != "/graphql" {
			return asked, false
		}
		asked.kind, asked.tenant, asked.id = "get", in.Variables.Tenant, in.Variables.K
		switch {
		case strings.HasPrefix(in.Query, "mutation save"):
			asked.kind, asked.value = "put", text(in.Variables.T)
		case strings.HasPrefix(in.Query, "mutation remove"):
			asked.kind = "delete"
		}
		return asked, true
	}
	var under bool
	asked.tenant = r.URL.Query().Get("tenant")
	asked.id, under = strings.CutPrefix(r.URL.Path, "/items/")
	switch {
	case !under && r.Method == http.MethodPost && s.habits.Is("key", "assigned"):
		asked.kind = "create"
	case !under:
		return asked, false
	default:
		asked.kind = strings.ToLower(r.Method)
	}
	if asked.kind == "put" || asked.kind == "create" {
		var in struct{ Title any }
		if !decode(body, &in) {
			return asked, false
		}
		asked.value = text(in.Title)
	}
	return asked, true
}

func decode(body []byte, into any) bool {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	return d.Decode(into) == nil
}

// text is a value of JSON as the source keeps it.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// serve does what was asked for.
func (s *Service) serve(worker int, asked request, a *answer) {
	switch asked.kind {
	case "get":
		s.get(worker, asked, a)
		return
	case "create":
		asked.id = strconv.Itoa(s.source.create())
	default:
		if !s.takesKey(asked) {
			a.send(http.StatusUnprocessableEntity, map[string]any{"detail": "no such key can be"})
			return
		}
		if s.habits.Is("key", "assigned") && s.source.now(asked.tenant+"/"+asked.id).version == 0 {
			a.send(http.StatusNotFound, map[string]any{"detail": "no such item"})
			return
		}
	}
	n := s.changes.Add(1)
	if asked.kind == "delete" {
		if s.habits.Is("ack", "made") {
			a.made(asked, s.change(worker, asked.tenant, asked.id, "", false))
		} else {
			s.changeLater(worker, asked.tenant, asked.id, "", false)
			a.made(asked, row{})
		}
		return
	}
	value, status := s.store(asked.value)
	if status != 0 {
		a.send(status, map[string]any{"detail": "no such value can be"})
		return
	}
	switch refused := s.late() && n%5 == 0; {
	case refused && !s.habits.Is("refusal", "none"):
		if s.defect == "dirty" {
			s.caches[worker].put(s.copyOf(asked.tenant, asked.id), row{value: value, exists: true})
		}
		a.refused(asked)
	case s.habits.Is("ack", "made"):
		a.failing = s.habits.Is("failure", "after") && s.late() && s.source.chance(0.04)
		a.made(asked, s.change(worker, asked.tenant, asked.id, value, true))
	default:
		s.changeLater(worker, asked.tenant, asked.id, value, true)
		a.made(asked, row{})
	}
}

func (s *Service) get(worker int, asked request, a *answer) {
	if !s.takesKey(asked) {
		a.send(http.StatusUnprocessableEntity, map[string]any{"detail": "no such key can be"})
		return
	}
	k := asked.tenant + "/" + asked.id
	switch {
	case asked.fresh && s.habits.Is("bypass", "replica"):
		a.found(asked, s.source.behind(k, behind), s.beside(asked), "BYPASS")
	case asked.fresh:
		a.found(asked, s.source.read(k), s.beside(asked), "BYPASS")
	default:
		r, tier := s.read(worker, asked.tenant, asked.id)
		a.found(asked, r, s.beside(asked), tier)
	}
}

// beside is another row for an answer to hold.
func (s *Service) beside(asked request) row {
	if n, err := strconv.Atoi(asked.id); err == nil {
		return s.source.now(asked.tenant + "/" + strconv.Itoa(n+1))
	}
	return row{}
}

var (
	uuids    = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	padded   = regexp.MustCompile(`^item-[0-9]{6}$`)
	integers = regexp.MustCompile(`^[0-9]{1,12}$`)
	decimals = regexp.MustCompile(`^[0-9]{1,10}(\.[0-9]{1,2})?$`)
)

func (s *Service) takesKey(asked request) bool {
	switch {
	case s.habits.Is("key", "uuid"):
		return uuids.MatchString(asked.id)
	case s.habits.Is("key", "padded"):
		return padded.MatchString(asked.id)
	}
	return asked.id != ""
}

const longest = 40

// store is what becomes of a value; status is that of a refusal.
func (s *Service) store(v string) (kept string, status int) {
	const never = http.StatusUnprocessableEntity
	switch s.habits["token"] {
	case "integer":
		if !integers.MatchString(v) {
			return "", never
		}
	case "decimal":
		if !decimals.MatchString(v) {
			return "", never
		}
	case "uuid":
		if !uuids.MatchString(v) {
			return "", never
		}
	case "short":
		if len(v) > longest {
			return "", http.StatusBadRequest
		}
	case "suffix":
		v += ".jpg"
	case "truncated":
		v = v[:min(len(v), longest)]
	}
	return v, 0
}
