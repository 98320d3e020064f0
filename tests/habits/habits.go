// Package habits holds services with habits, for tests: what answers to writes promise, what an
// absence looks like, which forms keys and values have, and what stands around a value. Each is put
// together from a [Habits], a promise and a defect of its cache, or none; [Service.Suite] is the
// suite that its owner would write. A service without a defect keeps its promise, so no drill of it
// may accuse it of anything.
package habits

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Habits are the habits of one service by dimension, where they are not the plainest one. See
// [Dimensions] for what there is.
type Habits map[string]string

// Dimension is one way in which services differ.
type Dimension struct {
	Name   string
	Habits []string // the first is the plainest
}

// Dimensions are all ways in which the services differ.
var Dimensions = []Dimension{
	// What a good answer to a change means: it was made; 202, and it will be made; 200, and it
	// will be made.
	{"ack", []string{"made", "accepted", "early"}},
	// How some writes are refused: none is; with 409; with 200 and errors in the answer.
	{"refusal", []string{"none", "conflict", "errors"}},
	// How some changes fail that were made all the same: none does; with 500.
	{"failure", []string{"none", "after"}},
	// What there is in place of an absent value: 404, 410, 204, null, {}, [], or an item that is
	// null.
	{"absence", []string{"notfound", "gone", "nocontent", "null", "object", "list", "item"}},
	// Which versions answers have: none; from 1; from 0; as an entity tag that is weak; as one that
	// names an encoding; when it was written; from 1 anew after a delete.
	{"version", []string{"none", "one", "zero", "etag", "opaque", "time", "reset"}},
	// Which values are taken: any text; whole numbers of 12 digits; decimals; UUIDs; 40 characters
	// and no more. And what becomes of others: ".jpg" is appended; what is beyond 40 characters is
	// cut off.
	{"token", []string{"text", "integer", "decimal", "uuid", "short", "suffix", "truncated"}},
	// Which keys are taken: any; UUIDs; those like item-000017; those that the service gave out.
	{"key", []string{"any", "uuid", "padded", "assigned"}},
	// How answers name the tier: not at all; HIT or MISS; with a word for each of two caches; on a
	// line for each; in the words of a CDN; as Cache-Status; MISS also in copies of an answer that
	// was one.
	{"tier", []string{"none", "word", "stacked", "lines", "cdn", "status", "replayed"}},
	// How bodies are encoded: not at all; with gzip; with a byte order mark before them.
	{"encoding", []string{"plain", "gzip", "mark"}},
	// How many requests are taken: any number; 150 a second, and else 429 with Retry-After.
	{"limit", []string{"none", "bucket"}},
	// What else is in answers: nothing; fields, and the time.
	{"extra", []string{"none", "fields"}},
	// How values can be read past the cache: not at all; at the source; at a replica that is a
	// second behind.
	{"bypass", []string{"none", "source", "replica"}},
	// Whose values there are: everybody's; two tenants'.
	{"tenants", []string{"one", "two"}},
	// How many values an answer has: the one that was asked for; another one beside it.
	{"neighbours", []string{"none", "one"}},
	// How it is asked: by method and path; by POST, as in GraphQL.
	{"style", []string{"rest", "graphql"}},
	// Who answers: one process; two, at an address each; three behind one address.
	{"workers", []string{"one", "two", "balanced"}},
}

// Is reports whether the service has a habit. It panics on one that there is not.
func (h Habits) Is(dimension, habit string) bool {
	for _, d := range Dimensions {
		if d.Name == dimension && slices.Contains(d.Habits, habit) {
			got, ok := h[dimension]
			return got == habit || !ok && habit == d.Habits[0]
		}
	}
	panic(fmt.Sprintf("there is no habit %s: %s", dimension, habit))
}

// String lists the habits that are not the plainest.
func (h Habits) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		all = append(all, name+"="+h[name])
	}
	return strings.Join(all, " ")
}

// Draw makes up habits: in each dimension one that is not the plainest, in oddness of all cases.
func Draw(rng *rand.Rand, oddness float64) Habits {
	h := Habits{}
	for _, d := range Dimensions {
		if rng.Float64() < oddness {
			h[d.Name] = d.Habits[1+rng.IntN(len(d.Habits)-1)]
		}
	}
	h.reconcile()
	return h
}

// reconcile takes away habits that no service has together.
func (h Habits) reconcile() {
	if h.Is("style", "graphql") { // an answer has one shape
		delete(h, "absence")
		delete(h, "neighbours")
		delete(h, "key")
	}
	if h.Is("neighbours", "one") {
		delete(h, "absence")
	}
	if h.Is("ack", "accepted") || h.Is("ack", "early") { // what is made later has no version yet, and is not refused
		delete(h, "version")
		delete(h, "refusal")
	}
}

// Defects are what can be the matter with a cache; the first is nothing.
var Defects = []string{
	"",          // nothing
	"slow-fill", // a load that began before a write is kept after it
	"forgets",   // copies outlive the bound, and a write drops them only sometimes
	"loses",     // some writes are acknowledged, and not made
	"tenants",   // copies are kept without the tenant
	"race",      // a write puts its value into the cache, in whatever order they come
	"negative",  // an absence is kept when the key is created
	"dirty",     // a value is in the cache before it is written, also when it is refused then
	"crossed",   // some answers are another key's
	"deaf",      // each worker has copies of its own, and drops them when it writes itself
}

// Suits reports whether a service of these habits can have the defect in a way that shows.
func (h Habits) Suits(defect string) bool {
	switch defect {
	case "loses": // of what is only accepted, nothing is promised
		return h.Is("ack", "made")
	case "tenants":
		return h.Is("tenants", "two")
	case "race": // without another view, the loser looks like the winner
		return h.Is("ack", "made") && h.Is("bypass", "source")
	case "dirty":
		return h.Is("refusal", "conflict")
	case "deaf":
		return !h.Is("workers", "one")
	case "negative":
		return !h.Is("style", "graphql")
	}
	return true
}
