package faults

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/internal/thousands"
	"github.com/cachedrill/cachedrill/targets"
)

var expireDefinition = Definition{
	Name:    "keys.expire",
	Summary: "many keys expire at the same moment",
	Params: []Param{
		{Name: "family", Type: "family", Doc: "whose keys; either this or pattern, or, at a target with a key prefix, neither: all keys below that"},
		{Name: "pattern", Type: "glob", Doc: "keys that match this Redis glob; at a target with a key prefix it begins with that"},
		{Name: "share", Type: "percentage", Default: "100%", Doc: "how many of them, above 0%; the same ones in every run"},
		{Name: "region", Type: "region or list", Doc: "in which Redis; all when absent"},
		{Name: "pool", Type: "pool", Doc: "only in the Redis of this pool", Was: "place"},
	},
	Evidence: "of the keys that would have lived on, how many were gone right after the moment; those written meanwhile are counted apart",
	Heals:    "the caches must fill again; interrupted before the moment, keys get their own expiry back",
	Destroys: "keys that have expired",
	Needs:    []Capability{CanTouch},
	Example:  "- keys.expire: {family: product, share: 100%}",
	Decode:   decodeExpire,
}

// Expire makes many keys expire at one common moment, as happens after they were all written at
// one. It arms the expiry ahead, so that it is Redis that expires them: a bulk delete would block
// it instead. Keys without a TTL expire too. It can't be undone.
//
// Evidence: of the keys that were armed, and that would have lived on by themselves, how many were
// gone right after the moment. Keys that were written again meanwhile, also after they had expired,
// differ from keys that survived by when they expire now. The fault has bitten when, in every
// region that had such keys, some are gone, more are gone than survived, and at least half of the
// keys that were found alive could be armed in time. A region that had no key to expire is not in
// the evidence.
type Expire struct {
	Family  string   // either a family's keys, or ...
	Pattern string   // ... those that match a Redis glob, or, with neither, all below the site's key prefix
	Share   float64  // 0 < Share <= 1 of them, picked by a hash of the name; 0 = all
	Regions []string // none = all
	Pool    string   // "" = all pools
}

func decodeExpire(p *Params) Fault {
	f := Expire{Share: p.Share("share"), Regions: p.Regions("region"), Pool: p.Pool()}
	family, pattern := p.Node("family"), p.Node("pattern")
	switch {
	case family.Present() && pattern.Present(), !family.Present() && !pattern.Present() && p.scope.KeyPrefix == "":
		p.FailHere("needs either family or pattern", "families: "+list(p.scope.Families))
	case family.Present():
		f.Family = p.Known("family", "family", p.scope.Families)
	case pattern.Present():
		f.Pattern = p.Text("pattern")
		if f.Pattern != "" && !rediskeys.Below(f.Pattern, p.scope.KeyPrefix) {
			p.Fail(pattern, f.Pattern, fmt.Sprintf("must begin with this target's key prefix %q", p.scope.KeyPrefix),
				"write pattern: '"+rediskeys.Escape(p.scope.KeyPrefix)+"*'")
		}
	}
	return f
}

// String gives the fault as YAML shows it.
func (f Expire) String() string {
	return render("keys.expire", [2]string{"family", f.Family}, [2]string{"pattern", f.Pattern},
		[2]string{"share", strconv.FormatFloat(f.share()*100, 'f', -1, 64) + "%"}, [2]string{"region", oneOrList(f.Regions)},
		[2]string{"pool", f.Pool})
}

// Lasts implements [Fault]: the lead to the moment, and how long its effect must be seen.
func (f Expire) Lasts() time.Duration { return expireLead + leastSeen }

// leastSeen is how long the fault phase must last after something instantaneous to show its effect.
const leastSeen = time.Second

// Inject arms the keys and returns just before the moment at which they expire. It takes a quarter
// of a second, and several times what scanning the keys takes; 60 s at most. An Inject that ends
// earlier gives the keys that are still as it left them their old expiry back. Heal undoes nothing;
// it fails only when the keys could not be looked at.
func (f Expire) Inject(ctx context.Context, site Site) (Injected, error) {
	glob, err := f.glob(site)
	if err != nil {
		return Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	names, err := f.redises(site.Servers)
	if err != nil {
		return Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	m := &massExpiry{fault: f, site: site}
	var where []string
	for _, name := range names {
		at, err := touchable(site, name)
		if err != nil {
			return Injected{}, fmt.Errorf("%s: %w", f, err)
		}
		where = append(where, "redis@"+name+" "+at.Addr)
		b := newExpiryBatch(name, site.Keys[name], glob, func(key string) bool { return strings.HasPrefix(key, site.KeyPrefix) && f.picks(key) })
		b.at = at
		m.batches = append(m.batches, b)
	}
	return site.Record(f, where, undo.ArmedNone(), func(e *undo.Entry) (Injected, error) { return m.inject(ctx, e) })
}

// touchable gives where a Redis is whose keys may be changed.
func touchable(site Site, name string) (undo.Server, error) {
	server := site.Servers[name]
	if err := server.Capabilities().Check(CanTouch); err != nil {
		return undo.Server{}, err
	}
	if site.Keys[name] == nil {
		return undo.Server{}, fmt.Errorf("this target offers no keys of redis@%s", name)
	}
	return locate(server, name)
}

// redises picks the names of the fault's Redis servers among those that a site has, in their order.
func (f Expire) redises(servers map[string]Server) ([]string, error) {
	if f.Pool == "" && len(f.Regions) == 0 {
		return pick(servers, "Redis", nil)
	}
	var names []string
	for _, name := range sortedKeys(servers) {
		region, pool, _ := strings.Cut(name, "/")
		if (f.Pool == "" || pool == f.Pool) && (len(f.Regions) == 0 || slices.Contains(f.Regions, region)) {
			names = append(names, name)
		}
	}
	for _, r := range f.Regions {
		if own := targets.RedisName(r, f.Pool); !slices.Contains(names, own) {
			return pick(servers, "Redis", []string{own})
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("this target offers no Redis of pool %q", f.Pool)
	}
	return names, nil
}

func (f Expire) share() float64 {
	if f.Share == 0 {
		return 1
	}
	return f.Share
}

// picks reports whether a key is in the share. The same keys are picked in every run.
func (f Expire) picks(key string) bool {
	return float64(xxhash.Sum64String(key)) < f.share()*math.MaxUint64 || f.share() >= 1
}

// keys names what expires, for evidence.
func (f Expire) keys() string {
	if f.Family != "" {
		return f.Family + " keys"
	}
	if f.Pattern == "" {
		return "keys"
	}
	return "keys matching " + strconv.Quote(f.Pattern)
}

// glob is which keys are meant. None is outside the site's key prefix.
func (f Expire) glob(site Site) (string, error) {
	glob := f.Pattern
	switch {
	case f.Family != "" && f.Pattern == "" && site.Pattern != nil:
		glob = site.Pattern(f.Family)
	case f.Family == "" && f.Pattern == "" && site.KeyPrefix != "":
		glob = rediskeys.Escape(site.KeyPrefix) + "*"
	}
	if glob == "" || f.Family != "" && f.Pattern != "" || f.Share < 0 || f.Share > 1 {
		return "", errors.New("needs either a family that this target has or a pattern, and a share up to 100%")
	}
	if !rediskeys.Below(glob, site.KeyPrefix) {
		return "", fmt.Errorf("the pattern %q does not begin with this target's key prefix %q", glob, site.KeyPrefix)
	}
	return glob, nil
}

var flushDefinition = Definition{
	Name:     "keys.flush",
	Summary:  "all keys are deleted; at a target with a key prefix, those below it",
	Params:   []Param{theRegion, thePool},
	Evidence: "how many keys there were before, and right after: asked in one transaction with the deletion",
	Heals:    "the caches must fill again",
	Destroys: "the keys",
	Needs:    []Capability{CanTouch},
	Example:  "- keys.flush: {region: eu}",
	Decode:   func(p *Params) Fault { return Flush{Region: p.TheRegion("region"), Pool: p.Pool()} },
}

// Flush deletes all keys of the Redis of a region; where the site has a key prefix, those that
// begin with it and no others. It can't be undone: what is lost is lost.
//
// Evidence: how many keys there were, and how many of them were left right after, before any could
// be written again: both are asked in one transaction with the deletion.
type Flush struct {
	Region string
	Pool   string // "": the region's own Redis
}

const flushLimit = 60 * time.Second

// String gives the fault as YAML shows it.
func (f Flush) String() string {
	return render("keys.flush", [2]string{"region", f.Region}, [2]string{"pool", f.Pool})
}

// Lasts implements [Fault].
func (f Flush) Lasts() time.Duration { return leastSeen }

// Inject deletes the keys, within 60 s. One that fails half-way has deleted some of them, and its
// error counts those. Heal undoes nothing.
func (f Flush) Inject(ctx context.Context, site Site) (Injected, error) {
	name := targets.RedisName(f.Region, f.Pool)
	if _, err := pick(site.Servers, "Redis", []string{name}); err != nil {
		return Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	at, err := touchable(site, name)
	if err != nil {
		return Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	step := undo.Lost(&at, "keys that were deleted can't be brought back")
	return site.Record(f, []string{"redis@" + name + " " + at.Addr}, step, func(*undo.Entry) (Injected, error) {
		ctx, cancel := context.WithTimeout(ctx, flushLimit)
		defer cancel()
		began := time.Now()
		did, err := site.Keys[name].Flush(ctx, site.KeyPrefix)
		if err != nil {
			err = fmt.Errorf("%s: redis@%s: %w", f, name, err)
			if did.Gone > 0 {
				err = &stuck{fmt.Errorf("%w (%s keys were deleted)", err, thousands.Group(did.Gone))}
			}
			return Injected{}, err
		}
		evidence, what := "", "keys"
		if site.KeyPrefix != "" {
			what = fmt.Sprintf("keys below %q", site.KeyPrefix)
		}
		if did.Gone > 0 && did.Left < did.Gone {
			evidence = fmt.Sprintf("%s %s in redis@%s before, %s of them right after%s",
				thousands.Group(did.Had), what, name, thousands.Group(did.Left), site.stamp())
		}
		heal := func(context.Context) (string, error) { return evidence, nil }
		return Injected{Evidence: evidence, Began: began, Heal: healOnce(flushLimit, heal)}, nil
	})
}
