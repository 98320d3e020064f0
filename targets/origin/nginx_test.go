package origin

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nginx runs examples/nginx before an origin, and gives the address of the first.
func nginx(t *testing.T, o *Origin, env ...string) string {
	t.Helper()
	path := os.Getenv("PATH")
	t.Setenv("PATH", path+":/usr/sbin")
	if _, err := exec.LookPath("nginx"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must have nginx")
		}
		t.Skip("skipped: nginx is not on PATH")
	}
	objects, admin := httptest.NewServer(o), httptest.NewServer(o.Admin())
	t.Cleanup(objects.Close)
	t.Cleanup(admin.Close)
	for range 5 { // a port may be taken between our look and nginx's
		listen := freeAddr(t)
		cmd := exec.Command("../../examples/nginx/start.sh")
		cmd.Env = append(os.Environ(), "LISTEN="+listen, "UPSTREAM="+objects.Listener.Addr().String(),
			"ORIGIN_ADMIN="+admin.Listener.Addr().String(), "ORIGIN_FLAGS=none", "TMPDIR="+t.TempDir())
		cmd.Env = append(cmd.Env, env...)
		output := &strings.Builder{}
		cmd.Stdout, cmd.Stderr = output, output
		require.NoError(t, cmd.Start())
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		stop := func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			<-ended
		}
		for up := false; !up; {
			res, err := http.Get("http://" + listen + "/healthz")
			if err == nil {
				_ = res.Body.Close()
				up = res.StatusCode == http.StatusOK
			}
			select {
			case <-ended:
				if !strings.Contains(output.String(), "Address already in use") {
					t.Fatalf("examples/nginx ended: %s", output)
				}
				up = true
			case <-time.After(5 * time.Millisecond):
			}
		}
		select {
		case <-ended:
			continue
		default:
		}
		t.Cleanup(http.DefaultClient.CloseIdleConnections)
		t.Cleanup(stop)
		return "http://" + listen
	}
	t.Fatal("no free port")
	return ""
}

func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// call asks over HTTP.
func call(ctx context.Context, method, url, body string) (status int, head http.Header, text string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(b), err
}

// look is one read of a key whose value had been replaced.
type look struct {
	old    bool
	age    time.Duration // from the acknowledgement of the write that replaced the old value until the read began
	status string        // of nginx
}

// looks reads each of many keys once, at another age each. Each was read, then replaced, and not
// touched since. A renewed one was confirmed by a 304 before it was replaced.
func looks(t *testing.T, at string, renewed bool, ages []time.Duration) []look {
	t.Helper()
	out := make([]look, len(ages))
	var wg sync.WaitGroup
	for i, age := range ages {
		url := fmt.Sprintf("%s/%s/%v/%d", at, t.Name(), renewed, i)
		wg.Go(func() {
			must := func(status int, err error, want int) {
				if err != nil || status != want {
					t.Errorf("%s: status %d, %v", url, status, err)
				}
			}
			status, _, _, err := call(t.Context(), "PUT", url, "old")
			must(status, err, 204)
			status, head, _, err := call(t.Context(), "GET", url, "")
			must(status, err, 200)
			late := time.Now().Add(10 * time.Second)
			for _, until := range []string{"STALE", "HIT"} { // by then nginx asks behind it; by then it has asked
				for renewed && head.Get("X-Cache-Status") != until && !t.Failed() {
					if time.Now().After(late) {
						t.Errorf("%s: never %s, but %s", url, until, head.Get("X-Cache-Status"))
					}
					time.Sleep(10 * time.Millisecond)
					status, head, _, err = call(t.Context(), "GET", url, "")
					must(status, err, 200)
				}
			}
			status, _, _, err = call(t.Context(), "PUT", url, "new")
			must(status, err, 204)
			acked := time.Now()
			time.Sleep(age) // what is measured is time itself
			began := time.Now()
			status, head, text, err := call(t.Context(), "GET", url, "")
			must(status, err, 200)
			out[i] = look{text == "old", began.Sub(acked), head.Get("X-Cache-Status")}
		})
	}
	wg.Wait()
	return out
}

func oldest(all []look) (at look) {
	for _, l := range all {
		if l.old && l.age > at.age {
			at = l
		}
	}
	return at
}

// nginx that obeys Cache-Control answers nothing that is older than max-age and
// stale-while-revalidate together, and the second to which it rounds; with stale answers allowed
// while it updates, it answers what is older, however old.
func TestNginxKeepsTheBoundOfCacheControl(t *testing.T) {
	const load, slack = 20 * time.Millisecond, 250 * time.Millisecond
	const bound = time.Second + time.Second + time.Second + load // max-age, stale-while-revalidate, whole seconds, a load
	var ages []time.Duration
	for age := 100 * time.Millisecond; age < bound+2*slack; age += 100 * time.Millisecond {
		ages = append(ages, age)
	}
	o := usual(t, func(c *Config) {
		c.Servers, c.ServiceTime, c.CacheControl = 100, load, "max-age=1, stale-while-revalidate=1"
		c.MaxObjects = 10_000
	})
	obeys, updating := nginx(t, o), nginx(t, o, "USE_STALE=updating")
	var fresh, renewed, unbound []look
	var wg sync.WaitGroup
	wg.Go(func() { fresh = looks(t, obeys, false, ages) })
	wg.Go(func() { renewed = looks(t, obeys, true, ages) })
	wg.Go(func() { unbound = looks(t, updating, false, []time.Duration{bound + slack, bound + 2*slack}) })
	wg.Wait()

	for what, all := range map[string][]look{"fresh": fresh, "renewed": renewed} {
		at := oldest(all)
		t.Logf("%s copies: the oldest value was %v past its end (%s); the bound is %v", what, at.age, at.status, bound)
		require.LessOrEqual(t, at.age, bound+slack, what)
		require.Greater(t, at.age, time.Second, "stale-while-revalidate was not used: what is measured here?")
		require.Equal(t, "STALE", at.status)
	}
	for _, l := range unbound {
		require.True(t, l.old, "after %v: %s", l.age, l.status)
		require.Equal(t, "STALE", l.status)
	}
	_, loads := listed[Load](t, o, "loads")
	confirmed := 0
	for _, l := range loads {
		if l.Status == http.StatusNotModified && l.Conditional {
			confirmed++
		}
	}
	require.GreaterOrEqual(t, confirmed, len(ages), "a renewed copy was confirmed")
}

// nginx lets one reader load what it doesn't have, and the others wait.
func TestNginxLoadsOnce(t *testing.T) {
	o := usual(t, func(c *Config) { c.Servers, c.ServiceTime = 100, 100*time.Millisecond })
	at := nginx(t, o)
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if status, _, _, err := call(t.Context(), "GET", at+"/a", ""); err != nil || status != 404 {
				t.Error(status, err)
			}
		})
	}
	wg.Wait()
	_, loads := listed[Load](t, o, "loads")
	require.Len(t, loads, 1)
	require.Equal(t, 1, loads[0].Width)

	status, head, _, err := call(t.Context(), "GET", at+"/a", "")
	require.NoError(t, err)
	require.Equal(t, 404, status)
	require.Equal(t, "HIT", head.Get("X-Cache-Status"), "an absence is kept, too")
}
