package habits

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// answer puts one answer together.
type answer struct {
	habits  Habits
	to      http.ResponseWriter
	worker  int
	failing bool // the change was made, and the answer is 500
}

// send writes a status and a body.
func (a *answer) send(status int, body any) {
	var b bytes.Buffer
	if a.habits.Is("encoding", "mark") {
		b.WriteString("\xef\xbb\xbf")
	}
	if err := json.NewEncoder(&b).Encode(body); err != nil {
		panic(err)
	}
	h := a.to.Header()
	h.Set("Content-Type", "application/json")
	if a.habits.Is("encoding", "gzip") {
		h.Set("Content-Encoding", "gzip")
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(b.Bytes())
		_ = z.Close()
		b = packed
	}
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	a.to.WriteHeader(status)
	_, _ = a.to.Write(b.Bytes())
}

// nothing answers 204.
func (a *answer) nothing() { a.to.WriteHeader(http.StatusNoContent) }

// refused answers a change that was not made.
func (a *answer) refused(asked request) {
	switch {
	case a.habits.Is("refusal", "errors") && a.habits.Is("style", "graphql"):
		a.send(http.StatusOK, map[string]any{"errors": []any{map[string]any{"message": "try again"}}, "data": nil})
	case a.habits.Is("refusal", "errors"):
		a.send(http.StatusOK, map[string]any{"errors": []any{"try again"}})
	default:
		a.send(http.StatusConflict, map[string]any{"detail": "try again"})
	}
}

// made answers a change that was made, or will be.
func (a *answer) made(asked request, r row) {
	switch {
	case a.failing:
		a.send(http.StatusInternalServerError, map[string]any{"detail": "something went wrong"})
		return
	case a.habits.Is("ack", "accepted"):
		a.send(http.StatusAccepted, map[string]any{"task": time.Now().UnixNano()})
		return
	case asked.kind == "delete" && !a.habits.Is("style", "graphql"):
		a.version(nil, r)
		a.nothing()
		return
	}
	out := map[string]any{}
	a.version(out, r)
	a.extra(out)
	status := http.StatusOK
	if asked.kind == "create" {
		status, out["id"] = http.StatusCreated, number(asked.id)
	}
	if a.habits.Is("style", "graphql") {
		a.send(status, map[string]any{"data": map[string]any{"save": out}})
		return
	}
	a.send(status, out)
}

func number(id string) int {
	n, _ := strconv.Atoi(id)
	return n
}

// version puts the version into an answer, where it has one.
func (a *answer) version(out map[string]any, r row) {
	put := func(name string, v any) {
		if out != nil && r.version > 0 {
			out[name] = v
		}
	}
	switch a.habits["version"] {
	case "one":
		put("version", r.version)
	case "zero":
		put("version", r.version-1)
	case "reset":
		put("version", r.since)
	case "time":
		put("version", r.at.UnixMilli())
	case "etag", "opaque":
		if r.version == 0 {
			return
		}
		tag := fmt.Sprintf(`W/"%d"`, r.version)
		if a.habits["version"] == "opaque" {
			tag = fmt.Sprintf(`"%x-%d-gzip"`, r.at.UnixNano(), r.version)
		}
		a.to.Header().Set("ETag", tag)
	}
}

// extra puts fields into an answer that are nobody's business.
func (a *answer) extra(out map[string]any) {
	if a.habits.Is("extra", "fields") {
		out["served_at"], out["links"], out["stock"] = time.Now().Format(time.RFC3339Nano), []string{"/items"}, 17
	}
}

// found answers a read.
func (a *answer) found(asked request, r, beside row, tier string) {
	a.tier(tier)
	if !a.habits.Is("workers", "one") {
		a.to.Header().Set("X-Worker", fmt.Sprintf("w%d", a.worker+1))
	}
	if !r.exists {
		a.absent()
		return
	}
	item := map[string]any{"title": a.value(r)}
	a.version(item, r)
	a.extra(item)
	switch {
	case a.habits.Is("style", "graphql"):
		a.send(http.StatusOK, map[string]any{"data": map[string]any{"item": item}})
	case a.habits.Is("neighbours", "one"):
		items := []any{item}
		if beside.exists {
			items = append(items, map[string]any{"title": a.value(beside)})
		}
		a.send(http.StatusOK, map[string]any{"items": items})
	case a.habits.Is("absence", "list"):
		a.send(http.StatusOK, []any{item})
	case a.habits.Is("absence", "item"):
		a.send(http.StatusOK, map[string]any{"item": item})
	default:
		a.send(http.StatusOK, item)
	}
}

// value is a row's value in the form that its column has.
func (a *answer) value(r row) any {
	switch a.habits["token"] {
	case "integer", "decimal":
		if f, err := strconv.ParseFloat(r.value, 64); err == nil {
			return f
		}
	}
	return r.value
}

func (a *answer) absent() {
	switch {
	case a.habits.Is("style", "graphql"):
		a.send(http.StatusOK, map[string]any{"data": map[string]any{"item": nil}})
		return
	case a.habits.Is("neighbours", "one"):
		a.send(http.StatusNotFound, map[string]any{"detail": "no such item"})
		return
	}
	switch a.habits["absence"] {
	case "gone":
		a.send(http.StatusGone, map[string]any{"detail": "no such item any more"})
	case "nocontent":
		a.nothing()
	case "null":
		a.send(http.StatusOK, nil)
	case "object":
		a.send(http.StatusOK, map[string]any{})
	case "list":
		a.send(http.StatusOK, []any{})
	case "item":
		a.send(http.StatusOK, map[string]any{"item": nil})
	default:
		a.send(http.StatusNotFound, map[string]any{"detail": "no such item"})
	}
}

// tier names where an answer comes from.
func (a *answer) tier(tier string) {
	h := a.to.Header()
	switch a.habits["tier"] {
	case "word":
		h.Set("X-Cache", tier)
	case "stacked": // the first is the inner cache, which has nothing ever
		h.Set("X-Cache", "MISS, "+tier)
	case "lines":
		h.Add("X-Cache", "MISS")
		h.Add("X-Cache", tier)
	case "cdn":
		h.Set("X-Cache", "TCP_"+tier)
	case "status":
		h.Set("Cache-Status", map[string]string{"HIT": "shield; fwd=miss, edge; hit; ttl=30", "MISS": "shield; fwd=miss, edge; fwd=miss", "BYPASS": "edge; fwd=bypass"}[tier])
	case "replayed":
		h.Set("X-Cache", "MISS")
	}
}
