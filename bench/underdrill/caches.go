package main

import (
	"context"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
)

// cacheUnder is one cache under drill, and what its documentation says.
type cacheUnder struct {
	name, title string
	module      string // in Go; or pip's name of it in Python
	redis       bool   // copies are in Redis
	memory      bool   // copies are in each process
	proxy       bool   // it stands before the source by itself, and obeys Cache-Control
	used        string // the calls
	says        string // what its documentation says about it, or that it does not
	link        string
	away        string // how to configure away what was found
}

const guard = "Store under a condition: a version that the source gives, compared in the store (a Lua script), or a token taken before the load " +
	"and voided by the delete. A second delete a while after the first shortens what is left, and a shorter TTL bounds it."

var caches = []cacheUnder{
	{name: "get-set", title: "GET and SET, by hand", module: "github.com/redis/go-redis/v9", redis: true,
		used: "`GET`; without an answer a load and `SET` with a TTL. After a write `DEL`.",
		says: "No library, so nothing is promised but the TTL. rueidisaside's README names the defect: \"an implementation without locking or versioning may cause a fresh cache to be overridden by a stale one\".",
		link: "https://github.com/redis/rueidis/tree/main/rueidisaside", away: guard},
	{name: "go-redis-cache", title: "go-redis/cache", module: "github.com/go-redis/cache/v9", redis: true, memory: true,
		used: "`Once` with `Do`, a `TinyLFU` as local cache, as in the README's quickstart. After a write `Delete`.",
		says: "The README shows `Once`, `Set`, `Get` and a local cache of a minute. It has no line about a `Delete` while a `Do` is under way, and none about the local caches of other processes.",
		link: "https://github.com/go-redis/cache#quickstart", away: guard + " Leave `LocalCache` out where several processes write."},
	{name: "sturdyc", title: "sturdyc", module: "github.com/viccon/sturdyc", redis: true, memory: true,
		used: "`GetOrFetch`, Redis as `WithDistributedStorage`. After a write `DEL` in Redis, which the README leaves to its owner, then `Delete`.",
		says: "\"I'd advice you to use the configuration above with short TTLs for the distributed storage, or things might get too stale\". Nothing is promised about a `Delete` while a fetch is under way.",
		link: "https://github.com/viccon/sturdyc#distributed-storage", away: "Short TTLs in memory and in Redis, as its README advises: their sum bounds the staleness. " + guard},
	{name: "otter", title: "otter", module: "github.com/maypok86/otter/v2", memory: true,
		used: "`Get` with a `LoaderFunc`, `ExpiryWriting`. After a write `Invalidate`.",
		says: "\"A write or an invalidation of key during the load discards the loaded value: Get then returns the value key has or loads key again\".",
		link: "https://pkg.go.dev/github.com/maypok86/otter/v2#Cache.Get", away: "In one process there is nothing to configure away. Between processes it promises nothing: the TTL is the bound."},
	{name: "rueidisaside", title: "rueidisaside", module: "github.com/redis/rueidis/rueidisaside", redis: true, memory: true,
		used: "`Get` with a loader. After a write `Del`.",
		says: "\"Redis will proactively invalidate the client-side cache\"; \"Only the first cache missed call can update the cache, and others will wait for notifications\".",
		link: "https://github.com/redis/rueidis/tree/main/rueidisaside", away: "Between processes the invalidation is a message, and takes its time; `DisableCache` in the client's options does without the copy in memory."},
	{name: "ristretto", title: "ristretto", module: "github.com/dgraph-io/ristretto/v2", memory: true,
		used: "`Get`; without an answer a load, `SetWithTTL` and `Wait`. After a write `Del`.",
		says: "\"our throughput performance can be attributed to a mix of batching and eventual consistency\". It has no loads, so it promises nothing about what a caller stores after a `Del`.",
		link: "https://github.com/dgraph-io/ristretto#readme", away: "A loading cache whose invalidation voids loads under way; or a lock of the key around load and store, and around write and `Del`."},
	{name: "golang-lru", title: "golang-lru (expirable)", module: "github.com/hashicorp/golang-lru/v2", memory: true,
		used: "`Get`; without an answer a load and `Add`. After a write `Remove`.",
		says: "\"This provides the `lru` package which implements a fixed-size thread safe LRU cache\". It has no loads, so it promises nothing about what a caller adds after a `Remove`.",
		link: "https://github.com/hashicorp/golang-lru#readme", away: "As for ristretto."},
	{name: "dogpile", title: "dogpile.cache", module: "dogpile.cache", redis: true,
		used: "`get_or_create` in a region of `dogpile.cache.redis` with `distributed_lock`. After a write `delete`.",
		says: "One creator at a time for a key is promised. The usage page has no line about a `delete` while a creator is under way.",
		link: "https://dogpilecache.sqlalchemy.org/en/latest/usage.html", away: guard},
	{name: "django", title: "Django with django-redis", module: "django-redis", redis: true,
		used: "`cache.get_or_set` with a callable. After a write `cache.delete`.",
		says: "The page on caching describes `get_or_set` and `delete`, and promises nothing about both at once.",
		link: "https://docs.djangoproject.com/en/3.2/topics/cache/", away: guard},
	{name: "flask-caching", title: "Flask-Caching", module: "Flask-Caching", redis: true,
		used: "`@cache.memoize` with `RedisCache`. After a write `delete_memoized` of the call.",
		says: "The documentation describes `memoize` and `delete_memoized`, and promises nothing about both at once.",
		link: "https://flask-caching.readthedocs.io/en/latest/", away: guard},
	{name: "cachetools", title: "cachetools", module: "cachetools", memory: true,
		used: "`@cached` with a `TTLCache` and a lock. After a write the key is popped, under the lock.",
		says: "The lock is about accesses of the cache, not about the call of the function: the documentation of `cached` says so, and does not speak of what a pop in between means.",
		link: "https://cachetools.readthedocs.io/en/latest/", away: "A lock of the key around load and store, and around write and pop."},
	{name: "nginx", title: "nginx", proxy: true,
		used: "`proxy_cache` with `proxy_cache_lock` and `proxy_cache_background_update`; the source's `Cache-Control` says how long. Writes pass through.",
		says: "Copies live as long as `Cache-Control` says, `stale-while-revalidate` included; seconds are counted whole. No invalidation is promised.",
		link: "https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_valid", away: "A shorter max-age. Purges are an addition."},
	{name: "varnish", title: "Varnish", proxy: true,
		used: "The built-in rules; the source's `Cache-Control` says how long. Writes pass through.",
		says: "Copies live as long as `Cache-Control` says; beyond that, while a new one is fetched, for the grace: `stale-while-revalidate`, or `default_grace` (10 s) where that is absent.",
		link: "https://varnish-cache.org/docs/7.1/users-guide/vcl-grace.html", away: "`-p default_grace=0`, or `set beresp.grace = 0s;`, where max-age alone shall hold; a purge in the VCL where writes pass."},
}

const (
	life  = 2 * time.Second
	slack = 500 * time.Millisecond // for a load on its way, and for the machine
)

// life is how long a copy lives. Of copies in memory a mass expiry is that all live shortly, and
// were made at the same time.
func (c cacheUnder) life(s string) time.Duration {
	if s == expiry && !c.redis {
		return life / 2
	}
	return life
}

// within is the bound that is asked for, or 0: then the next read after a write must see it.
func (c cacheUnder) within(processes int, s string) time.Duration {
	switch {
	case c.proxy:
		bound := time.Second + slack // max-age
		if s != expiry {
			bound += time.Second // stale-while-revalidate
		}
		if c.name == "nginx" {
			bound += time.Second // it counts whole seconds
		}
		return bound
	case processes > 1 && c.memory && c.name != "rueidisaside":
		return c.life(s) + slack
	}
	return 0
}

func names() (all []string) {
	for _, c := range caches {
		all = append(all, c.name)
	}
	return all
}

func known(name string) bool {
	for _, c := range caches {
		if c.name == name {
			return true
		}
	}
	return false
}

var number = regexp.MustCompile(`\d+(\.\d+)+\S*`)

// versions are those that were drilled, by the caches' names.
func versions(ctx context.Context) map[string]string {
	all, modules := map[string]string{}, map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			modules[d.Path] = strings.TrimPrefix(d.Version, "v")
		}
	}
	for _, c := range caches {
		var cmd *exec.Cmd
		switch {
		case strings.Contains(c.module, "/"):
			all[c.name] = modules[c.module]
			continue
		case c.name == "nginx":
			cmd = exec.CommandContext(ctx, program("nginx"), "-v")
		case c.name == "varnish":
			cmd = exec.CommandContext(ctx, program("varnishd"), "-V")
		default:
			cmd = exec.CommandContext(ctx, "/usr/bin/python3", "-c", "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))", c.module)
		}
		out, _ := cmd.CombinedOutput()
		all[c.name] = strings.Trim(number.FindString(string(out)), "()")
		if c.name == "django" {
			out, _ := exec.CommandContext(ctx, "/usr/bin/python3", "-c", "import django; print(django.__version__)").Output()
			all[c.name] += ", Django " + strings.TrimSpace(string(out))
		}
	}
	return all
}
