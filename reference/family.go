package reference

import (
	"errors"
	"time"

	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/purge"
	"github.com/cachedrill/cachedrill/reference/source"
)

// Family is one kind of key: how its keys are built and what its readers are promised.
type Family struct {
	Schema    key.Schema
	Contract  policy.Family
	Namespace string // families of one namespace must have one class, and one pool; empty: a namespace of its own
	Pool      string // whose Redis has its copies, see [Config.Pools]; empty: the region's own

	// Redact takes out of a value what must not be cached or shown; nil leaves it as it is. It is
	// applied to what the source answers, before anything else sees it, and to nothing that is
	// absent. A value that it refuses can't be read.
	Redact func(value []byte) ([]byte, error)
}

// ErrFamily marks a name of a family that the cache has no contract for.
var ErrFamily = key.ErrFamily

// ErrMixed marks a configuration in which one namespace has families of two classes.
var ErrMixed = errors.New("a namespace has one class")

// PurgeFamilies gives families as a [purge.Purger] must know them.
func PurgeFamilies(families []Family) []purge.Family {
	out := make([]purge.Family, len(families))
	for i, f := range families {
		out[i] = purge.Family{Schema: f.Schema, Contract: f.Contract, Pool: f.Pool}
	}
	return out
}

// entryOf makes an entry of a record of the source, redacted. It has no life yet; see
// [policy.Policy.Admit].
func (f *Family) entryOf(r source.Record, took time.Duration) (e entry.Entry, err error) {
	e = entry.Entry{Meta: policy.Meta{Kind: policy.Value, Version: r.Version, T0: r.T0, Took: took}, Value: r.Value}
	if absent(r) {
		e.Meta.Kind, e.Value = policy.Absence, nil
		return e, nil
	}
	if f.Redact != nil {
		e.Value, err = f.Redact(e.Value)
	}
	return e, err
}

func absent(r source.Record) bool { return r.Version == 0 || r.Deleted }
