package http

import (
	"strconv"
	"strings"

	"github.com/cachedrill/cachedrill/targets"
)

// tierWords are common words of services for the tier of an answer, in lower case.
var tierWords = map[string]string{
	"l1": targets.TierL1, "memory": targets.TierL1, "local": targets.TierL1,
	"l2": targets.TierL2, "redis": targets.TierL2, "hit": targets.TierL2, "cache": targets.TierL2, "stale": targets.TierL2, "updating": targets.TierL2,
	"mem_hit": targets.TierL2, "remote_hit": targets.TierL2, "negative_hit": targets.TierL2, "offline_hit": targets.TierL2, "ims_hit": targets.TierL2,
	"expired_hit": targets.TierL2, "refresh_fail_hit": targets.TierL2,
	"l3": targets.TierSource, "source": targets.TierSource, "miss": targets.TierSource, "expired": targets.TierSource, "db": targets.TierSource,
	"database": targets.TierSource, "revalidated": targets.TierSource, "refresh_hit": targets.TierSource, "refreshhit": targets.TierSource,
	"refresh_miss": targets.TierSource, "expired_miss": targets.TierSource, "client_refresh_miss": targets.TierSource, "swapfail_miss": targets.TierSource,
	"bypass": targets.TierBypass, "dynamic": targets.TierBypass, "pass": targets.TierBypass, "uncacheable": targets.TierBypass,
}

// tierOf translates the service's word, such as HIT, TCP_HIT or "Hit from cloudfront". An unknown
// word gives no tier.
func (a *Answer) tierOf(word string) string {
	word = strings.ToLower(strings.TrimSpace(word))
	if t, ok := a.tiers[word]; ok {
		return t
	}
	word, _, _ = strings.Cut(word, " from ")
	return tierWords[strings.TrimPrefix(word, "tcp_")]
}

// layer is what one cache on the way says of an answer.
type layer struct{ name, word string }

// layers lists what the caches on the way say, the one that is nearest to the source first:
// "MISS, HIT", several lines, or Cache-Status (RFC 9211).
func (a *Answer) layers(from *received) (out []layer) {
	if a.tier.header == "" {
		if text, ok, _ := from.find(a.tier); ok {
			out = append(out, layer{"", text})
		}
		return out
	}
	status := strings.EqualFold(a.tier.header, "Cache-Status")
	for _, line := range from.header.Values(a.tier.header) {
		for member := range strings.SplitSeq(line, ",") {
			if member = strings.TrimSpace(member); member == "" {
				continue
			}
			if status {
				out = append(out, cacheStatus(member))
				continue
			}
			out = append(out, layer{"", member})
		}
	}
	return out
}

// cacheStatus reads one member of Cache-Status, such as: ExampleCache; fwd=uri-miss; stored.
func cacheStatus(member string) layer {
	parts := strings.Split(member, ";")
	l := layer{name: strings.Trim(strings.TrimSpace(parts[0]), `"`)}
	for _, p := range parts[1:] {
		switch p = strings.ToLower(strings.TrimSpace(p)); {
		case p == "hit" || p == "hit=?1":
			l.word = "hit"
		case p == "fwd=bypass" || p == "fwd=method":
			l.word = "bypass"
		case strings.HasPrefix(p, "fwd="):
			l.word = "miss"
		}
	}
	return l
}

// tierIn gives the tier of an answer; empty where it is unknown. Where several caches speak, only
// the layer that the suite names counts. A cache that answers repeats what the ones behind it said
// when it stored the answer: beside a hit, and in an answer that has an age, a miss is no news of
// the source.
func (a *Answer) tierIn(from *received) string {
	layers := a.layers(from)
	at := a.layerOf(layers)
	if at < 0 {
		return ""
	}
	tier := a.tierOf(layers[at].word)
	if tier != targets.TierSource && tier != targets.TierBypass {
		return tier
	}
	if age, err := strconv.Atoi(strings.TrimSpace(from.header.Get("Age"))); err == nil && age > 0 {
		return ""
	}
	for i, l := range layers {
		if t := a.tierOf(l.word); i != at && t != targets.TierSource && t != targets.TierBypass {
			return ""
		}
	}
	return tier
}

// layerOf picks the layer that counts; -1: none is known to.
func (a *Answer) layerOf(all []layer) int {
	switch {
	case len(all) == 0:
		return -1
	case a.layer == "first":
		return 0
	case a.layer == "last":
		return len(all) - 1
	case a.layer != "":
		for i, l := range all {
			if strings.EqualFold(l.name, a.layer) {
				return i
			}
		}
		if n, err := strconv.Atoi(a.layer); err == nil && n >= 1 && n <= len(all) {
			return n - 1
		}
		return -1
	case len(all) > 1:
		return -1
	}
	return 0
}

// spoken lists the words of an answer that several caches wrote; empty where one or none did, or
// the suite names the layer.
func (a *Answer) spoken(from *received) string {
	all := a.layers(from)
	if a.layer != "" || len(all) < 2 {
		return ""
	}
	var words []string
	for _, l := range all {
		words = append(words, strings.TrimSpace(l.name+" "+l.word))
	}
	return strings.Join(words, ", ")
}
