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
	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/targets"
)

// Expire makes many keys expire at one common moment, as happens after they were all written at one. It
// arms the expiry ahead, so that it is Redis that expires them: a bulk delete would block it instead.
// Keys without a TTL expire too. It can't be undone.
//
// Evidence: of the keys that were armed, and that would have lived on by themselves, how many were gone
// right after the moment. Keys that were written again meanwhile, also after they had expired, are told
// from keys that survived by when they expire now. The fault has bitten when, in every region that had
// such keys, some are gone, more are gone than survived, and at least half of the keys that were found
// alive could be armed in time. A region that had no key to expire is not in the evidence.
//
// It needs Redis 7 or Valkey (PEXPIREAT with LT: arming must never lengthen a key's life).
type Expire struct {
	Family  string   // either a family's keys, or ...
	Pattern string   // ... those that match a Redis glob, or, with neither, all below the site's key prefix
	Share   float64  // 0 < Share <= 1 of them, picked by a hash of the name; 0 = all
	Regions []string // none = all
	Pool    string   // "" = all pools
	sham    bool
}

const (
	expireInjectLimit = 60 * time.Second
	expireUndoLimit   = 10 * time.Second
	expireVerifyLimit = 5 * time.Second
	expireLead        = 250 * time.Millisecond // from arming to the moment, plus what scanning took, several times
	expireSettle      = 400 * time.Millisecond // after the moment, by which a Redis must have expired a key
	expireSeen        = time.Second            // after the moment, that the fault phase must last to show an effect
	// expireNotice is how long before the moment Inject returns: longer than a Redis whose TTLs age in
	// steps may be early, so that no effect is felt before the fault phase.
	expireNotice = 20 * time.Millisecond
	// expireLast is how long before the moment arming ends: a key that is armed afterwards might be one
	// that had expired and come back.
	expireLast = 5 * time.Millisecond
)

// String gives the fault as YAML shows it.
func (f Expire) String() string {
	return render(f.sham, "keys.expire", [2]string{"family", f.Family}, [2]string{"pattern", f.Pattern},
		[2]string{"share", strconv.FormatFloat(f.share()*100, 'f', -1, 64) + "%"}, [2]string{"region", oneOrList(f.Regions)},
		[2]string{"pool", f.Pool})
}

// Redises picks the names of the fault's Redises among those that a site has, in their order.
func (f Expire) Redises(nodes map[string]Node) ([]string, error) {
	if f.Pool == "" && len(f.Regions) == 0 {
		return pick(nodes, "Redis", nil)
	}
	var names []string
	for _, name := range sortedKeys(nodes) {
		region, pool, _ := strings.Cut(name, "/")
		if (f.Pool == "" || pool == f.Pool) && (len(f.Regions) == 0 || slices.Contains(f.Regions, region)) {
			names = append(names, name)
		}
	}
	for _, r := range f.Regions {
		if !slices.ContainsFunc(names, func(name string) bool { return name == targets.RedisName(r, f.Pool) }) {
			return pick(nodes, "Redis", []string{targets.RedisName(r, f.Pool)})
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

// picks says whether a key is in the share. The same keys are picked in every run.
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

// Inject arms the keys and returns just before the moment at which they expire. It takes a quarter of a
// second, and several times what scanning the keys takes; 60 s at most. An Inject that ends earlier gives
// the keys that are still as it left them their old expiry back. Heal undoes nothing; it fails only when
// the keys could not be looked at.
func (f Expire) Inject(ctx context.Context, site Site) (Injected, error) {
	glob, err := f.glob(site)
	if err != nil {
		return Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	regions, err := f.Redises(site.Nodes)
	if err != nil {
		return Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	where := make([]string, len(regions))
	for i, r := range regions {
		where[i] = "redis@" + r + " " + site.Nodes[r].Addr()
	}
	return site.record(f, f.sham, where, undo{Kind: undoArmed}, func(e *entry) (Injected, error) {
		return f.inject(ctx, site, regions, glob, e)
	})
}

// glob is which keys are meant. None is outside the site's key prefix.
func (f Expire) glob(site Site) (string, error) {
	glob := f.Pattern
	switch {
	case f.Family != "" && f.Pattern == "" && site.Pattern != nil:
		glob = site.Pattern(f.Family)
	case f.Family == "" && f.Pattern == "" && site.KeyPrefix != "":
		glob = escapeGlob(site.KeyPrefix) + "*"
	}
	if glob == "" || f.Family != "" && f.Pattern != "" || f.Share < 0 || f.Share > 1 {
		return "", errors.New("needs either a family that this target has or a pattern, and a share up to 100%")
	}
	if !below(glob, site.KeyPrefix) {
		return "", fmt.Errorf("the pattern %q does not begin with this target's key prefix %q", glob, site.KeyPrefix)
	}
	return glob, nil
}

func (f Expire) inject(ctx context.Context, site Site, regions []string, glob string, e *entry) (Injected, error) {
	inject, cancel := context.WithTimeout(ctx, expireInjectLimit)
	defer cancel()
	m := &massExpiry{fault: f, site: site, regions: regions}
	for _, r := range regions {
		node := site.Nodes[r]
		m.arms = append(m.arms, &arming{
			region: r, rdb: node.Client(), at: whereIs(node), glob: glob, sham: f.sham, entry: e,
			picks: func(key string) bool { return strings.HasPrefix(key, site.KeyPrefix) && f.picks(key) },
			own:   map[string]time.Time{}, armed: map[string]bool{}, ending: map[string]bool{}, late: map[string]bool{},
		})
	}
	if err := m.arm(inject); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), expireUndoLimit)
		defer cancel()
		return Injected{}, fmt.Errorf("%s: %w", f, halfDone(err, m.each(func(a *arming) error { return a.disarm(undo, m.moment) })))
	}
	// The keys must be looked at right after the moment, when they have not been filled again, and
	// Inject must return before it. Heal waits for this goroutine; it ends by itself too.
	verified := make(chan error, 1)
	verify, stop := context.WithTimeout(context.WithoutCancel(ctx), expireNotice+expireVerifyLimit)
	go func() {
		defer stop()
		verified <- m.verify(verify)
	}()
	heal := func(ctx context.Context) (string, error) {
		select {
		case err := <-verified:
			verified <- err // for another attempt
			if err != nil {
				return "", fmt.Errorf("%s: looking at the keys after their expiry: %w", f, err)
			}
			return m.evidence(), nil
		case <-ctx.Done():
			return "", fmt.Errorf("%s: waiting for the keys to expire: %w", f, ctx.Err())
		}
	}
	return Injected{Began: m.moment.Add(-expireNotice), Heal: healOnce(2*expireVerifyLimit, heal)}, nil
}

// massExpiry is one common moment in some regions.
type massExpiry struct {
	fault   Expire
	site    Site
	regions []string
	arms    []*arming
	moment  time.Time
	at      string // the moment on the harness's clock
}

// each does something in all regions at once.
func (m *massExpiry) each(do func(a *arming) error) error {
	var g errgroup.Group
	for _, a := range m.arms {
		g.Go(func() error {
			if err := do(a); err != nil {
				return fmt.Errorf("redis@%s: %w", a.region, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// arm finds the keys, sets the moment, arms, and arms again shortly before the moment for keys that were
// written meanwhile; it returns shortly before the moment.
func (m *massExpiry) arm(ctx context.Context) error {
	began := time.Now()
	if err := m.each(func(a *arming) error { return a.scan(ctx) }); err != nil {
		return fmt.Errorf("scanning for keys: %w", err)
	}
	scan := time.Since(began)
	m.moment = time.Now().Add(expireLead + 6*scan)
	pass := func(a *arming) error { return a.arm(ctx, m.moment) }
	if err := m.each(func(a *arming) error { return a.readClock(ctx) }); err != nil {
		return fmt.Errorf("reading the clock: %w", err)
	}
	if err := m.each(pass); err != nil {
		return fmt.Errorf("arming the expiry: %w", err)
	}
	again := m.moment.Add(-3*scan - 2*expireNotice)
	if err := wait(ctx, again); err != nil {
		return err
	}
	if err := m.each(func(a *arming) error {
		if err := a.scan(ctx); err != nil {
			return err
		}
		return a.arm(ctx, m.moment)
	}); err != nil {
		return fmt.Errorf("arming the expiry again: %w", err)
	}
	return wait(ctx, m.moment.Add(-expireNotice))
}

// verify waits for the moment and looks at the keys.
func (m *massExpiry) verify(ctx context.Context) error {
	if err := wait(ctx, m.moment.Add(time.Millisecond)); err != nil {
		return err
	}
	m.at = m.site.stamp()
	return m.each(func(a *arming) error { return a.verify(ctx, m.moment) })
}

func (m *massExpiry) evidence() string {
	var armed, ending, gone, rewritten, survived int64
	var regions []string // that had keys
	bit := true
	for _, a := range m.arms {
		if a.live() == 0 {
			continue
		}
		regions = append(regions, a.region)
		bit = bit && a.bit()
		armed += int64(len(a.armed))
		ending += int64(len(a.ending))
		gone, rewritten, survived = gone+a.gone, rewritten+a.rewritten, survived+a.survived
	}
	names := strings.Join(regions, ", ")
	if m.fault.sham {
		if armed == 0 {
			return ""
		}
		return fmt.Sprintf("%s: %s %s found in %s and not touched; %s of them still there%s",
			shamOf(m.fault), grouped(armed), m.fault.keys(), names, grouped(survived+rewritten), m.at)
	}
	if len(regions) == 0 || !bit {
		return ""
	}
	var also []string
	if rewritten > 0 {
		also = append(also, grouped(rewritten)+" were rewritten meanwhile")
	}
	if survived > 0 {
		also = append(also, grouped(survived)+" survived")
	}
	if ending > 0 {
		also = append(also, grouped(ending)+" more were at their end anyway")
	}
	e := fmt.Sprintf("%s of %s %s gone from %s%s", grouped(gone), grouped(armed), m.fault.keys(), names, m.at)
	if len(also) > 0 {
		e += " (" + strings.Join(also, ", ") + ")"
	}
	return e
}
