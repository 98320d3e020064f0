package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// Cached gives the families as a cache takes them ([reference.Config]): its keys, what its readers
// are promised, and what is taken out of values before they enter any tier. The names of their
// pools are those of [reference.Config]'s Pools; the default pool is its Shared.
func (c Contract) Cached() []reference.Family {
	out := make([]reference.Family, 0, len(c.Families))
	for _, f := range c.Families {
		out = append(out, reference.Family{
			Schema:    f.Schema,
			Namespace: f.Namespace,
			Pool:      c.named(f.Pool),
			Contract:  policy.Family{Class: f.Class, Within: f.Within, TTL: f.TTL, ReadLease: f.ReadLease, Writes: f.Writes},
			Redact:    f.Redactor(),
		})
	}
	return out
}

// named is the name that a cache has for a pool: none for the default.
func (c Contract) named(pool string) string {
	for _, l := range c.Pools {
		if l.Name == pool && l.Default {
			return ""
		}
	}
	return pool
}

// Policy gives base without the controls that an exception leaves out on a day. An exception that
// has expired leaves nothing out: forgetting it is the safe side.
func (c Contract) Policy(base policy.Policy, on Date) (policy.Policy, error) {
	for _, e := range c.Exceptions {
		if !on.Before(e.Expires.Time) {
			continue
		}
		p, err := base.Without(e.Without)
		if err != nil {
			return base, fmt.Errorf("line %d: %w", e.Pos.Line, err)
		}
		base = p
	}
	return base, nil
}

// ErrRedaction marks a value that can't be redacted, because it is not a JSON object. It must not
// be cached, nor shown.
var ErrRedaction = errors.New("can't be redacted: not a JSON object")

// masked takes the place of a masked field's value.
var masked = json.RawMessage(`"***"`)

// Redactor gives a function that redacts the family's values, which are JSON objects; nil when it
// redacts nothing. A path that leads into a list means the field of each of its elements. Its error
// is [ErrRedaction]. An empty value stays empty.
func (f Family) Redactor() func(value []byte) ([]byte, error) {
	var paths []Field
	for _, p := range f.Fields {
		if p.Redact != None {
			paths = append(paths, p)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	return func(value []byte) ([]byte, error) {
		if len(value) == 0 {
			return value, nil
		}
		for _, p := range paths {
			out, err := redact(value, strings.Split(p.Path, "."), p.Redact)
			if err != nil {
				return nil, fmt.Errorf("a value of %s %w", f.Name, ErrRedaction)
			}
			value = out
		}
		return value, nil
	}
}

// redact rewrites an object along a path. What lies beside the path keeps its bytes.
func redact(value json.RawMessage, path []string, how Redaction) (json.RawMessage, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(value, &object); err != nil || object == nil {
		return nil, ErrRedaction
	}
	inner, there := object[path[0]]
	switch {
	case !there:
		return value, nil
	case len(path) == 1 && how == Drop:
		delete(object, path[0])
	case len(path) == 1:
		object[path[0]] = masked
	default:
		out, err := redactInside(inner, path[1:], how)
		if err != nil {
			return nil, err
		}
		object[path[0]] = out
	}
	return json.Marshal(object)
}

// redactInside goes on below an object's field: into an object, or each object of a list. What is
// neither has no such field.
func redactInside(value json.RawMessage, path []string, how Redaction) (json.RawMessage, error) {
	switch bytes.TrimLeft(value, " \t\r\n")[0] {
	case '{':
		return redact(value, path, how)
	case '[':
		var list []json.RawMessage
		if err := json.Unmarshal(value, &list); err != nil {
			return nil, ErrRedaction
		}
		for i := range list {
			out, err := redactInside(list[i], path, how)
			if err != nil {
				return nil, err
			}
			list[i] = out
		}
		return json.Marshal(list)
	}
	return value, nil
}
