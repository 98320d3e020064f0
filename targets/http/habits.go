package http

import (
	"fmt"
	"sync"
)

// habits are what a service was seen to do with versions, tiers and values. Safe for concurrent
// use.
type habits struct {
	mu       sync.Mutex
	settled  bool              // what begins from now on is not taken back
	fromZero map[string]bool   // families whose versions begin with 0
	opaque   map[string]string // families with a version that is no number, and why
	several  map[string]bool   // families whose token path selected several values
	notes    []string
}

// version makes a version of what an answer has. Versions that were seen to begin with 0 before the
// drill are given as one more; those of a family that had one that is no number are left out.
func (h *habits) version(family string, a *Answer, from *received) uint64 {
	v, ok, err := a.versionIn(from)
	if !ok && err == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil && h.opaque[family] == "":
		if h.opaque == nil {
			h.opaque = map[string]string{}
		}
		h.opaque[family] = err.Error()
		h.notes = append(h.notes, fmt.Sprintf("versions of %s are left out: %v", family, err))
	case err == nil && v == 0 && !h.settled:
		if h.fromZero == nil {
			h.fromZero = map[string]bool{}
		}
		h.fromZero[family] = true
	}
	switch {
	case err != nil || h.opaque[family] != "":
		return 0
	case h.fromZero[family]:
		return v + 1
	}
	return v
}

// settle ends the time in which versions may turn out to begin with 0.
func (h *habits) settle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.settled = true
}

// ambiguous notes that a path selected several values in an answer of a family.
func (h *habits) ambiguous(family string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.several == nil {
		h.several = map[string]bool{}
	}
	h.several[family] = true
}

// mixes reports whether answers of a family were seen to hold several values at the path of the
// token: what is found there may be another key's.
func (h *habits) mixes(family string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.several[family]
}

// layered notes that several caches speak in the answers of a family.
func (h *habits) layered(family, words string) {
	note := "the tier of " + family + " is unknown where several caches speak"
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.notes {
		if len(n) >= len(note) && n[:len(note)] == note {
			return
		}
	}
	h.notes = append(h.notes, fmt.Sprintf("%s (%s): name the one that counts, as in tier: {header: X-Cache, layer: last}", note, words))
}
