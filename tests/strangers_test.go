package tests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/cachedrill/cachedrill/drill"
	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/report"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets"
	"github.com/cachedrill/cachedrill/targets/http"
	"github.com/cachedrill/cachedrill/targets/redis"
	"github.com/cachedrill/cachedrill/targets/service"
	"github.com/cachedrill/cachedrill/targets/zoo"
)

// strangers are the zoo's caches that answers alone can give away. late-version can't be seen:
// versions are not shown; what the drills of the rest look at is counts of loads, which a stranger
// does not have.
var strangers = []string{"without-class-routing", "without-age-clamp", "early-join", "negative-forever", "tenant-blind",
	"dual-write", "delete-first", "slow-fill", "deaf-memory", "no-clamp", "write-behind"}

// TestStrangers drills the reference service, and the zoo's, as services that are black boxes: over
// HTTP, by what a suite could say of them, without versions, history or counts. Correct ones are
// accused of nothing; of the broken ones most are caught. CACHEDRILL_SOAK asks for all; else it is
// a sample.
func TestStrangers(t *testing.T) {
	t.Parallel() // most of its time is waiting
	redistest.Need(t)
	suite, err := scenarios.Parse("zoo.yaml", zoo.Suite)
	require.NoError(t, err)
	runs, broken := 1, strangers[6:8]
	if os.Getenv("CACHEDRILL_SOAK") != "" {
		runs, broken = 20, strangers
	}
	specimens := map[string]zoo.Specimen{}
	for _, a := range zoo.Specimens() {
		specimens[a.Name] = a
	}
	var mu sync.Mutex
	caught := map[string]string{}
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(realLanes)
	names := suite.Names()
	for i := range runs {
		g.Go(func() error {
			a := specimens[[]string{"recommended", "slow-acks"}[i%2]]
			s, err := drillStranger(ctx, suite, a, names[i%len(names)], uint64(i)+1)
			if err != nil {
				return err
			}
			for _, r := range s.SLOs {
				if r.Safety && r.Outcome == slo.Fail {
					t.Errorf("%s at %s, seed %d, accused: %s, observed %s: %s", a.Name, s.Name, i+1, r.Expr, r.Observed, r.Evidence)
				}
			}
			return nil
		})
	}
	for _, name := range broken {
		g.Go(func() error {
			for seed := uint64(1); seed <= 3; seed++ {
				s, err := drillStranger(ctx, suite, specimens[name], specimens[name].Drill, seed)
				if err != nil {
					return err
				}
				for _, r := range s.SLOs {
					if r.Safety && r.Outcome == slo.Fail {
						mu.Lock()
						caught[name] = fmt.Sprintf("%s, observed %s: %s", r.Expr, r.Observed, r.Evidence)
						mu.Unlock()
						return nil
					}
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	for _, name := range broken {
		t.Logf("%s: %s", name, caught[name])
	}
	require.GreaterOrEqual(t, len(caught)*10, len(broken)*8, "caught: %v", caught)
}

func drillStranger(ctx context.Context, suite scenarios.Suite, a zoo.Specimen, name string, seed uint64) (report.Drill, error) {
	sc, err := suite.Scenario(name)
	if err != nil {
		return report.Drill{}, err
	}
	where := environment.Options{Policy: a.Policy, Seed: seed, Backend: redis.Process}
	var res drill.Result
	for try := 1; try <= tries && ctx.Err() == nil; try++ {
		if res, err = drill.RunIn(ctx, foreign(sc), overHTTP, where, drill.Options{Seed: seed}); err == nil {
			break
		}
	}
	return res.Scenario, err
}

// stranger is a service as a suite describes it.
type stranger struct{ *http.Service }

func (stranger) SetEpoch(time.Time) {}

func (s stranger) Seed(ctx context.Context, keys []targets.Key, _ string) error {
	return s.Service.Seed(ctx, keys)
}

// foreign says of a scenario what is true of every service that others may use too.
func foreign(sc scenarios.Scenario) scenarios.Scenario {
	sc.ForeignWriters = true
	return sc
}

// overHTTPEnvironment is the reference service and its surroundings, talked to as anybody could.
type overHTTPEnvironment struct {
	*environment.Base
	inside  environment.Environment
	service *http.Service
}

// Observations implements [environment.Environment].
func (e overHTTPEnvironment) Observations() environment.Observations { return e.inside.Observations() }

// Close implements [environment.Environment].
func (e overHTTPEnvironment) Close() error { return errors.Join(e.service.Close(), e.inside.Close()) }

// overHTTP is an [environment.Open].
func overHTTP(ctx context.Context, sc scenarios.Scenario, opt environment.Options) (_ environment.Environment, err error) {
	opt.Run = environment.NewRun()
	env, err := environment.Reference(ctx, sc, opt)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, env.Close())
		}
	}()
	inside := env.(interface{ Service() *service.Service }).Service()
	inside.SetEpoch(time.Now())
	spec, err := sc.Reference()
	if err != nil {
		return nil, err
	}
	node, problems := strictyaml.Parse([]byte(describe(inside, spec)))
	described := http.Decode(node)
	if len(problems.List) > 0 {
		return nil, fmt.Errorf("%v", problems.List)
	}
	s, err := http.New(described, opt.Run)
	if err != nil {
		return nil, err
	}
	return overHTTPEnvironment{environment.NewBase(s, stranger{s}, env.Site(), opt), env, s}, nil
}

// describe says of the service what its owner would write.
func describe(s *service.Service, spec service.Spec) string {
	const at = `"/{family}/{key}?tenant={tenant}&locale={locale}&currency={currency}"`
	var b strings.Builder
	b.WriteString("instances:\n")
	for region, urls := range s.URLs() {
		fmt.Fprintf(&b, "  %s: [%s]\n", region, `"`+strings.Join(urls, `", "`)+`"`)
	}
	fmt.Fprintf(&b, "settle: 1s\nread: {GET: %s}\nwrite: {PUT: %s, body: \"{token}\"}\ndelete: {DELETE: %s}\nbypass: {GET: %s}\n", at, at, at, at[:len(at)-1]+`&bypass=1"`)
	b.WriteString("answer: {token: {json: $.token}, tier: {header: X-Tier}, worker: {header: X-Worker}}\nfamilies:\n")
	for _, f := range spec.Families {
		within := ""
		switch f.Contract.Class {
		case policy.Bounded:
			within = fmt.Sprintf(", within: %v", f.Contract.Within)
		case policy.Eventual:
			within = fmt.Sprintf(", within: %v", f.Contract.Converges())
		}
		fmt.Fprintf(&b, "  %s: {class: %s%s, ttl: %v}\n", f.Name, f.Contract.Class, within, f.Contract.TTL)
	}
	return b.String()
}
