package habits

import (
	"fmt"
	"strings"
)

// Address is where a service listens: that of its first worker, or of all.
const Address = "127.0.0.1:18700"

// Suite is the suite of the service, as its owner would write it: with the words for its habits, or
// without them. addresses are those of its workers, or of all of them together. load is the rate
// and the mix of its family, item.
func (s *Service) Suite(described bool, addresses []string, workload string) string {
	w := words{Service: s, described: described}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("version: 1\ntarget:\n  http:\n    instances: [%s]\n    timeout: 1s", quoted(addresses))
	w.calls(line)
	w.meaning(line)
	line("    answer: {%s}", w.answer())
	promise := "class: " + string(s.class)
	if s.class != Strong {
		promise += fmt.Sprintf(", within: %v, ttl: %v", Within, shortLived)
	}
	line("    families: {item: {%s}}", promise)
	b.WriteString(workload)
	return b.String()
}

func quoted(addresses []string) string {
	var all []string
	for _, a := range addresses {
		all = append(all, fmt.Sprintf("%q", "http://"+a))
	}
	return strings.Join(all, ", ")
}

// words finds words for the habits of a service.
type words struct {
	*Service
	described bool
}

// calls are the requests.
func (w words) calls(line func(string, ...any)) {
	h, key, tenant := w.habits, "{key}", ""
	if h.Is("tenants", "two") {
		tenant = "?tenant={tenant}"
	}
	if h.Is("key", "padded") && w.described {
		key = "item-{key:06d}"
	}
	if h.Is("style", "graphql") {
		variables, fresh := `k: "{key}"`, "?fresh=1"
		if tenant != "" {
			variables += `, tenant: "{tenant}"`
		}
		query := func(name, text, with, more string) {
			line(`    %s: {POST: "/graphql%s", json: {query: "%s", variables: {%s}}}`, name, more, text, variables+with)
		}
		query("read", "query($k: ID!){item(id:$k){title}}", "", "")
		query("write", "mutation save($k: ID!, $t: String!){save(id:$k,title:$t){id}}", `, t: "{token}"`, "")
		query("delete", "mutation remove($k: ID!){remove(id:$k){id}}", "", "")
		if !h.Is("bypass", "none") {
			query("bypass", "query($k: ID!){item(id:$k){title}}", "", fresh)
		}
		return
	}
	path := fmt.Sprintf(`"/items/%s%s"`, key, tenant)
	line("    read: {GET: %s}\n    write: {PUT: %s, json: {title: \"{token}\"}}\n    delete: {DELETE: %s}", path, path, path)
	if !h.Is("bypass", "none") {
		fresh := "?fresh=1"
		if tenant != "" {
			fresh = tenant + "&fresh=1"
		}
		line(`    bypass: {GET: "/items/%s%s"}`, key, fresh)
	}
	if h.Is("key", "assigned") && w.described {
		line(`    create: {POST: "/items%s", json: {title: "{token}"}, id: {json: $.id}}`, tenant)
	}
}

// meaning is what answers mean that look otherwise.
func (w words) meaning(line func(string, ...any)) {
	h := w.habits
	if !w.described {
		return
	}
	if h.Is("ack", "accepted") {
		line("    accepted: [202]")
	}
	if h.Is("ack", "early") {
		line("    accepted: [200, 204]")
	}
	if h.Is("refusal", "conflict") {
		line("    rejected: [409]")
	}
	if h.Is("refusal", "errors") {
		line("    done: {json: $.errors, is: absent}")
	}
	if h.Is("limit", "bucket") {
		line("    shed: [429]")
	}
	if absent := w.absent(); absent != "" {
		line("    absent: %s", absent)
	}
	if form := map[string]string{"integer": "form: integer, digits: 12", "decimal": "form: decimal, digits: 12",
		"uuid": "form: uuid", "short": "form: text, length: 40", "truncated": "form: text, length: 40"}[h["token"]]; form != "" {
		line("    token: {%s}", form)
	}
	if h.Is("key", "uuid") {
		line("    key: {form: uuid}")
	}
}

// absent says what an absence looks like, where that is not known.
func (w words) absent() string {
	switch h := w.habits; {
	case h.Is("style", "graphql"):
		return "{json: $.data.item, is: null}"
	case h.Is("absence", "nocontent"):
		return "[204]"
	case h.Is("absence", "null"):
		return "{json: $, is: null}"
	case h.Is("absence", "object"):
		return "{json: $.title, is: absent}"
	case h.Is("absence", "list"):
		return "{json: $, is: empty}"
	case h.Is("absence", "item"):
		return "{json: $.item, is: null}"
	}
	return ""
}

// answer says where things are in an answer.
func (w words) answer() string {
	h, at := w.habits, "$."
	switch {
	case h.Is("style", "graphql"):
		at = "$.data.item."
	case h.Is("neighbours", "one") && w.described:
		at = "$.items[0]."
	case h.Is("neighbours", "one"):
		at = "$.items[*]."
	case h.Is("absence", "list"):
		at = "$[0]."
	case h.Is("absence", "item"):
		at = "$.item."
	}
	token := fmt.Sprintf(`{json: "%stitle"}`, at)
	if h.Is("token", "suffix") && w.described {
		token = `{regexp: '"title":"([^"]*)\.jpg"'}`
	}
	all := []string{"token: " + token}
	switch h["version"] {
	case "one", "zero", "reset", "time":
		all = append(all, fmt.Sprintf(`version: {json: "%sversion"}`, at))
	case "etag", "opaque":
		all = append(all, "version: {header: ETag}")
	}
	if h["tier"] == "status" {
		all = append(all, "tier: {header: Cache-Status}")
	} else if !h.Is("tier", "none") {
		all = append(all, "tier: {header: X-Cache}")
	}
	if !h.Is("workers", "one") {
		all = append(all, "worker: {header: X-Worker}")
	}
	return strings.Join(all, ", ")
}
