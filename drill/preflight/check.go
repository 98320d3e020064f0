// Package preflight is the short conversation with a service that says what drills of it can see
// and break.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
)

// Finding is one thing that a [Check] found out.
type Finding struct {
	Topic string // "service", "write", "read", ...
	OK    bool
	Text  string
	Fix   string // what would make it right or better; may be empty
	// Fatal says that no drill of this suite can tell anything before it is mended.
	Fatal bool
}

// checkAgain is for how long a first read may still show something older than what was just
// written.
const checkAgain = 5 * time.Second

// Check has a short conversation with a service as a suite describes it, and says what drills of it
// can and cannot see, and which faults are possible. It writes one key, that drills write too. The
// service is started if the suite says so, and ended.
func Check(ctx context.Context, sc scenarios.Scenario, opt environment.Options) (found []Finding, err error) {
	env, err := environment.HTTP(ctx, sc, opt)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closing := env.Close(); err == nil {
			err = environment.Cleanup(closing)
		}
	}()
	plan, err := sc.HTTP()
	if err != nil {
		return nil, err
	}
	c := &conversation{ctx: ctx, sc: sc, plan: plan, env: env, site: env.Site(), run: env.Run()}
	c.add(true, "service", "%s is ready", plan)
	for _, m := range sc.Workload.Mixes {
		c.family(m.Family)
	}
	c.redis()
	c.edges()
	c.loads()
	c.sight()
	c.faults()
	return c.found, ctx.Err()
}

// conversation is a check that is under way.
type conversation struct {
	ctx   context.Context
	sc    scenarios.Scenario
	plan  *scenarios.HTTPTarget
	env   environment.Environment
	site  faults.Site
	run   string
	found []Finding

	wired map[string]int // edges, and how many connections were seen on each
}

func (c *conversation) add(ok bool, topic, format string, args ...any) *Finding {
	c.found = append(c.found, Finding{Topic: topic, OK: ok, Text: fmt.Sprintf(format, args...)})
	return &c.found[len(c.found)-1]
}

func (c *conversation) do(r targets.Request) (targets.Reply, error) {
	ctx, cancel := context.WithTimeout(c.ctx, max(c.plan.Service.Timeout, 2*time.Second))
	defer cancel()
	reply, err := c.env.Target().Do(ctx, r)
	c.look()
	return reply, err
}

// look sees which edges have connections.
func (c *conversation) look() {
	if c.wired == nil {
		c.wired = map[string]int{}
	}
	for _, e := range c.plan.Environment.Edges {
		if n, ok := environment.ConnectionsTo(c.site.Edges[e.Name].Listen); ok {
			c.wired[e.Name] = max(c.wired[e.Name], n)
		}
	}
}

func (c *conversation) key(family, id string) targets.Key {
	k := targets.Key{Family: family, ID: id}
	for _, m := range c.sc.Workload.Mixes {
		if m.Family != family {
			continue
		}
		for _, d := range []struct {
			values []string
			into   *string
		}{{m.Tenants, &k.Tenant}, {m.Locales, &k.Locale}, {m.Currencies, &k.Currency}} {
			if len(d.values) > 0 {
				*d.into = d.values[0]
			}
		}
	}
	return k
}

// family writes one key, reads it twice, reads one that is not there, and what else the service
// offers.
func (c *conversation) family(name string) {
	f, _ := c.plan.Service.Family(name)
	k := c.key(name, "1")
	token := targets.NewToken(c.run, 0, k)
	if !f.Written() {
		c.add(false, "write", "%s can't be written: stale answers and lost writes can't be seen", name).Fix = `write: {PUT: "/products/{key}", json: {title: "{token}"}}`
	} else {
		if _, err := c.do(targets.Request{Kind: targets.Write, Key: k, Token: token}); err != nil {
			c.add(false, "write", "%s: %v", name, err).Fatal = true
			return
		}
		c.add(true, "write", "%s: done", k)
	}
	first, err := c.read(k, token, f.Written())
	if err != nil {
		c.add(false, "read", "%s: %v", name, err).Fatal = true
		return
	}
	c.shows(name, first)
	c.again(k, first)
	c.absent(name)
	if f.Bypass != nil {
		switch past, err := c.do(targets.Request{Kind: targets.Read, Key: k, Instance: targets.SourceInstance}); {
		case err != nil:
			c.add(false, "bypass", "%s: %v", name, err).Fatal = true
		case f.Written() && past.Token != token:
			c.add(false, "bypass", "%s: answered %q instead of what was written", name, past.Token).Fatal = true
		default:
			c.add(true, "bypass", "%s: what was written", name)
		}
	}
	if f.Delete != nil {
		c.delete(name)
	}
}

// read reads until what was written shows, or patience ends.
func (c *conversation) read(k targets.Key, token string, written bool) (targets.Reply, error) {
	for end := time.Now().Add(checkAgain); ; {
		r, err := c.do(targets.Request{Kind: targets.Read, Key: k})
		switch {
		case err == nil && (!written || r.Token == token):
			return r, nil
		case c.ctx.Err() != nil:
			return r, c.ctx.Err()
		case time.Now().After(end) && err != nil:
			return r, err
		case time.Now().After(end) && r.Absent:
			return r, fmt.Errorf("%s was written, and is still not found %v later", k, checkAgain)
		case time.Now().After(end):
			return r, fmt.Errorf("%s still answers %q, and not what was written %v ago: is the token where the suite says?", k, r.Token, checkAgain)
		}
		time.Sleep(showAgain)
	}
}

const (
	showAgain  = 100 * time.Millisecond
	probeLimit = 2 * time.Second
)

// shows reports what an answer holds beside the value.
func (c *conversation) shows(family string, r targets.Reply) {
	var also []string
	for _, t := range []struct {
		shown bool
		text  string
	}{
		{r.Token != "", "its value"}, {r.Version != 0, "its version"}, {r.Owner != targets.Key{}, "whose it is"},
		{r.Tier != "", "its tier (" + r.Tier + ")"}, {r.Worker != "", "which worker answered"},
	} {
		if t.shown {
			also = append(also, t.text)
		}
	}
	c.add(true, "read", "%s: the answer tells %s", family, strings.Join(also, ", "))
	if (r.Owner != targets.Key{}) && r.Owner != c.key(family, "1") {
		c.add(false, "owner", "%s: asked for %s, and the answer says that it is %s's", family, c.key(family, "1"), r.Owner).Fatal = true
	}
}

// again reads once more, which should be a hit.
func (c *conversation) again(k targets.Key, first targets.Reply) {
	r, err := c.do(targets.Request{Kind: targets.Read, Key: k})
	switch {
	case err != nil:
		c.add(false, "re-read", "%s: %v", k, err).Fatal = true
	case first.Tier == "" && r.Tier == "":
		c.add(false, "re-read", "%s: tier unknown: hit_ratio and miss_penalty are not available", k.Family).Fix = "answer: {tier: {header: X-Cache}}"
	case r.Tier == targets.TierSource:
		c.add(false, "re-read", "%s: the second read came from the source too: is it cached at all?", k)
	default:
		c.add(true, "re-read", "%s: from %s", k.Family, r.Tier)
	}
}

func (c *conversation) absent(family string) {
	k := c.key(family, targets.BeyondKeys(c.run))
	r, err := c.do(targets.Request{Kind: targets.Read, Key: k})
	switch {
	case err != nil:
		c.add(false, "absent", "%s: a key that was never written: %v", family, err).Fix = "absent: [404], with the status that the service answers then"
	case !r.Absent:
		c.add(false, "absent", "%s: a key that was never written answers a value (%q): a missing one can't be recognised", family, r.Token).Fix = "absent: [404]"
	default:
		c.add(true, "absent", "%s: a key that was never written is not found", family)
	}
}

func (c *conversation) delete(family string) {
	k := c.key(family, "1")
	if _, err := c.do(targets.Request{Kind: targets.Delete, Key: k}); err != nil {
		c.add(false, "delete", "%s: %v", family, err).Fatal = true
		return
	}
	r, err := c.do(targets.Request{Kind: targets.Read, Key: k})
	switch {
	case err != nil:
		c.add(false, "delete", "%s: done, and then the read: %v", family, err)
	case !r.Absent:
		c.add(false, "delete", "%s: done, and the key is still answered", family)
	default:
		c.add(true, "delete", "%s: done, and not found afterwards", family)
	}
}

var errFound = errors.New("found")

func (c *conversation) redis() {
	plan := c.plan.Environment.Redis
	if plan == nil {
		return
	}
	node := c.site.Servers[scenarios.MainRedis]
	id, err := node.Identity(c.ctx)
	if err != nil {
		c.add(false, "redis", "%v", err).Fatal = true
		return
	}
	c.add(true, "redis", "%s, %s, %d keys", id.Version, id, id.Keys)
	if plan.KeyPrefix == "" && len(plan.Keys) == 0 {
		return
	}
	var found string
	err = c.site.Keys[scenarios.MainRedis].Scan(c.ctx, rediskeys.Escape(plan.KeyPrefix)+"*", func(keys []string) error {
		for _, key := range keys {
			if strings.HasPrefix(key, plan.KeyPrefix) {
				found = key
				return errFound
			}
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	switch {
	case err != nil:
		c.add(false, "redis", "looking for keys below %q: %v", plan.KeyPrefix, err)
	case found == "":
		c.add(false, "redis", "no key begins with %q after a read: keys.* would find nothing", plan.KeyPrefix).Fix = "key_prefix: how the service's keys begin"
	default:
		c.add(true, "redis", "keys begin with %q, such as %s", plan.KeyPrefix, found)
	}
}

func (c *conversation) edges() {
	for _, e := range c.plan.Environment.Edges {
		edge := c.site.Edges[e.Name]
		ctx, cancel := context.WithTimeout(c.ctx, probeLimit)
		err := edge.Prober.Through(ctx)
		cancel()
		_, known := environment.ConnectionsTo(edge.Listen)
		switch {
		case err != nil:
			c.add(false, "edge", "%s: %s does not answer through %s: %v", e.Name, edge.Upstream, edge.Listen, err).Fatal = true
		case known && c.wired[e.Name] == 0:
			c.add(false, "edge", "%s: nothing was connected to %s while the service was asked: is it pointed there?", e.Name, edge.Listen).Fix =
				"point the service at " + edge.Listen + ", else faults of this edge break nothing"
		default:
			c.add(true, "edge", "%s: %s leads to %s, and the service is connected", e.Name, edge.Listen, edge.Upstream)
		}
	}
}

func (c *conversation) loads() {
	switch plan := c.plan.Environment.Loads; {
	case plan == nil:
		c.add(false, "source", "loads of the source are not counted: source_qps, stampede.max and redundant_loads are not available").Fix =
			`environment: {source_qps: {prometheus: "http://127.0.0.1:8081/metrics", counter: db_queries_total}}`
	default:
		c.add(true, "source", "loads of the source are counted by %s", plan)
	}
}

// sight says which objectives of the suite nothing could decide.
func (c *conversation) sight() {
	past := c.env.Capabilities().Bypass
	loads := c.env.Capabilities().Loads
	seen := map[string]bool{}
	for _, o := range c.sc.Objectives {
		m := o.Objective.Metric
		if seen[m] {
			continue
		}
		seen[m] = true
		switch {
		case m == "lost_writes" && !past:
			c.add(false, "objective", "lost_writes: no read goes past the caches: it is judged only where the last reads come from the source").Fix =
				`bypass: {GET: "/products/{key}?fresh=1"}`
		case (m == "stampede.max" || m == "redundant_loads") && loads.Counted && !loads.PerKey && (m == "redundant_loads" || !loads.Width):
			c.add(false, "objective", "%s: the counter of loads does not tell keys: it will be unknown", m)
		}
	}
}

// faults says which are possible here, and, reason by reason, which are not.
func (c *conversation) faults() {
	scope := c.plan.Scope()
	var can, reasons []string
	cannot := map[string][]string{}
	for _, d := range c.sc.Language.Faults {
		why := d.Refused(scope)
		if d.Name == "sham" {
			continue
		}
		if why == "" {
			can = append(can, d.Name)
			continue
		}
		if cannot[why] == nil {
			reasons = append(reasons, why)
		}
		cannot[why] = append(cannot[why], d.Name)
	}
	for _, why := range reasons {
		c.add(false, "fault", "%s: %s", strings.Join(cannot[why], ", "), why)
	}
	if len(can) == 0 {
		c.add(true, "fault", "nothing can be broken here; load alone (a sham) is enough to find stale answers and lost writes")
		return
	}
	c.add(true, "fault", "possible: %s", strings.Join(can, ", "))
}
