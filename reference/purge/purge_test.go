package purge

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/reference/internal/entry"
	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/store"
)

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redistest.Main()
	redis.SetLogger(silent{}) // a test that ends early cuts a connection
	goleak.VerifyTestMain(m)
}

var (
	product = Family{
		Schema:   key.Schema{Family: "product", Version: 1},
		Contract: policy.Family{Class: policy.Bounded, Within: time.Minute, TTL: time.Minute},
	}
	price = Family{
		Schema:   key.Schema{Family: "price", Version: 1},
		Contract: policy.Family{Class: policy.Strong, TTL: time.Minute},
	}
	quick = Family{
		Schema:   key.Schema{Family: "quick", Version: 1},
		Contract: policy.Family{Class: policy.Bounded, Within: 100 * time.Millisecond, TTL: 100 * time.Millisecond},
	}
	hot    = key.Name{Family: "product", ID: "17"}
	hotKey = "product:17:v1"
)

type straight struct{}

func (straight) Carry(ctx context.Context) error { return ctx.Err() }
func (straight) Hears(any) bool                  { return true }

func memory() store.Store { return store.NewMemory().Client(straight{}, store.Patience{}) }

// purgerOf makes a purger of the families of the tests, and gives its log.
func purgerOf(t *testing.T, shared store.Store, progress func(Purged)) (p *Purger, log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "purges.jsonl")
	audit, err := OpenAudit(log)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, audit.Close()) })
	p, err = New(Config{Region: "eu", Policy: policy.Recommended(), Families: []Family{product, price, quick}, Shared: shared, Audit: audit, Progress: progress})
	require.NoError(t, err)
	return p, log
}

func purgeNow(t *testing.T, shared store.Store, s Selector) Purged {
	t.Helper()
	p, _ := purgerOf(t, shared, nil)
	done, err := p.Purge(t.Context(), Order{Selector: s, Who: "ines", Why: "test"})
	require.NoError(t, err)
	return done
}

func ofHot() Selector    { return Selector{Name: hot} }
func ofFamily() Selector { return Selector{Family: "product"} }

func valueOf(version uint64) []byte {
	return entry.Encode(policy.Policy{}, entry.Entry{Meta: policy.Meta{Kind: policy.Value, Version: version}, Value: []byte("v")})
}

// racing puts a newer version in place while a purge has only asked which there is.
type racing struct {
	store.Store
	newer []string
}

func (r *racing) Run(ctx context.Context, s *store.Script, keys []string, args ...string) ([]string, error) {
	out, err := r.Store.Run(ctx, s, keys, args...)
	if len(r.newer) > 0 && err == nil {
		err = r.Store.Set(ctx, hotKey, []byte(r.newer[0]), time.Minute)
		r.newer = r.newer[1:]
	}
	return out, err
}

// A purge's floor is of the version that it replaces, also when that has only just come: a purge
// takes no version back.
func TestPurgeWhileNewerVersionsCome(t *testing.T) {
	shared := memory()
	of := func(version uint64) string { return string(valueOf(version)) }
	require.NoError(t, shared.Set(t.Context(), hotKey, []byte(of(1)), time.Minute))
	require.Equal(t, Purged{Seen: 1, Removed: 1}, purgeNow(t, &racing{shared, []string{of(2), of(3)}}, ofHot()))
	raw, _, err := shared.Get(t.Context(), hotKey)
	require.NoError(t, err)
	left, err := entry.Decode(raw)
	require.NoError(t, err)
	require.Equal(t, policy.Floor, left.Meta.Kind)
	require.EqualValues(t, 3, left.Meta.Version)
}

func TestPurgeWhenRedisIsAway(t *testing.T) {
	m := store.NewMemory()
	m.Stop()
	p, log := purgerOf(t, m.Client(straight{}, store.Patience{}), nil)
	for _, s := range []Selector{ofHot(), ofFamily()} {
		_, err := p.Purge(t.Context(), Order{Selector: s, Who: "ines", Why: "test"})
		require.ErrorIs(t, err, ErrPartly)
		require.ErrorIs(t, err, store.ErrRefused)
	}
	lines := auditLines(t, log)
	require.Len(t, lines, 4)
	require.Contains(t, lines[3].Error, "family product in eu")
}

func TestPurgeRefusesOrders(t *testing.T) {
	shared := memory()
	p, log := purgerOf(t, shared, nil)
	require.NoError(t, shared.Set(t.Context(), hotKey, valueOf(1), time.Minute))
	for _, c := range []struct {
		order Order
		err   error
		says  string
	}{
		{Order{Selector: ofHot(), Why: "y"}, ErrOrder, ""},
		{Order{Selector: ofHot(), Who: "x", Why: " \t"}, ErrOrder, ""},
		{Order{Who: "x", Why: "y"}, ErrSelector, "say All"},
		{Order{Who: "x", Why: "y", Selector: Selector{Family: "nope"}}, key.ErrFamily, "nope"},
		{Order{Who: "x", Why: "y", Selector: Selector{Name: key.Name{Family: "nope", ID: "1"}}}, key.ErrFamily, "nope"},
		{Order{Who: "x", Why: "y", Selector: Selector{Name: key.Name{Family: "product"}}}, ErrSelector, "the id is missing"},
		{Order{Who: "x", Why: "y", Selector: Selector{Family: "product", All: true}}, ErrSelector, "give a name"},
		{Order{Who: "x", Why: "y", Selector: Selector{Name: hot, Prefix: "p"}}, ErrSelector, "give a name"},
		{Order{Who: "x", Why: "y", Selector: Selector{Tenant: "a"}}, ErrSelector, "no family varies by tenant"},
		{Order{Who: "x", Why: "y", Selector: Selector{Tenant: "a", Family: "product"}}, ErrSelector, "does not vary by tenant"},
		{Order{Who: "x", Why: "y", Selector: Selector{Prefix: "product:*"}}, ErrSelector, `no key holds "*"`},
	} {
		done, err := p.Purge(t.Context(), c.order)
		require.ErrorIs(t, err, c.err)
		require.ErrorContains(t, err, c.says)
		require.Zero(t, done)
		require.False(t, errors.Is(err, ErrPartly))
	}
	left, _, err := shared.Get(t.Context(), hotKey)
	require.NoError(t, err)
	require.Equal(t, valueOf(1), left, "nothing happened")
	require.Empty(t, auditLines(t, log))
	_, err = New(Config{Shared: shared})
	require.Error(t, err)
}

func TestAPurgerNeedsTheStoreOfEachPool(t *testing.T) {
	audit, err := OpenAudit(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer audit.Close()
	apart := product
	apart.Pool = "critical"
	cfg := Config{Families: []Family{apart}, Shared: memory(), Audit: audit}
	_, err = New(cfg)
	require.ErrorIs(t, err, ErrPool)
	cfg.Pools = map[string]store.Store{"critical": memory()}
	_, err = New(cfg)
	require.NoError(t, err)
}
