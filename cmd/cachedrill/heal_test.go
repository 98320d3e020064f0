package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/targets"
)

// roleArmer is a process that arms the expiry of all keys, and is killed.
const roleArmer = "test-armer"

// elsewhere is a Redis that is no Redis of this test.
type elsewhere struct{ client *goredis.Client }

func (n elsewhere) Start(context.Context) error    { return errors.ErrUnsupported }
func (n elsewhere) Stop(context.Context) error     { return errors.ErrUnsupported }
func (n elsewhere) Kill(context.Context) error     { return errors.ErrUnsupported }
func (n elsewhere) Ping(ctx context.Context) error { return n.client.Ping(ctx).Err() }
func (n elsewhere) Identity(ctx context.Context) (targets.RedisIdentity, error) {
	return targets.RedisIdentity{RunID: "elsewhere"}, n.Ping(ctx)
}

func (n elsewhere) Location() undo.Server {
	return undo.Server{Addr: n.client.Options().Addr, DB: n.client.Options().DB}
}
func (n elsewhere) Lifetime() faults.Lifetime { return faults.OutlivesProcess() }
func (n elsewhere) Capabilities() faults.Capabilities {
	return faults.Capabilities{faults.CanTouch: faults.Yes()}
}

// slowScan makes scanning take long, so that the moment at which the keys expire is far away.
type slowScan struct{}

func (slowScan) DialHook(next goredis.DialHook) goredis.DialHook { return next }
func (slowScan) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, c goredis.Cmder) error {
		if c.Name() == "scan" {
			<-time.After(700 * time.Millisecond)
		}
		return next(ctx, c)
	}
}
func (slowScan) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

// arm tells when Redis has been asked for the expiry of all keys, and waits for its end.
func arm(ctx context.Context, args []string, stdout io.Writer) error {
	journal, err := undo.OpenJournal(filepath.Join(args[1], undo.JournalFile))
	if err != nil {
		return err
	}
	c := goredis.NewClient(&goredis.Options{Addr: args[0], DB: 3, Password: "secret"})
	c.AddHook(slowScan{})
	site := faults.Site{Servers: map[string]faults.Server{"eu": elsewhere{c}}, Keys: map[string]faults.Keys{"eu": rediskeys.Of(c)}, KeyPrefix: "drill:", Journal: journal}
	_, err = faults.Expire{}.Inject(ctx, site)
	fmt.Fprintln(stdout, "not killed in time:", err)
	return err
}

// A process that was killed with keys armed can undo nothing; heal gives them their own expiry
// back.
func TestHealAfterAKillInTheMiddleOfAMassExpiry(t *testing.T) {
	const keys = 1200
	server := redistest.Start(t, goredis.Options{Password: "secret"}, "--requirepass", "secret")
	c := goredis.NewClient(&goredis.Options{Addr: server.Addr, DB: 3, Password: "secret"})
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := c.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i := range keys {
			p.Set(ctx, fmt.Sprint("drill:", i), "v", time.Duration(i%2)*3*time.Hour) // every other one never expires
		}
		p.Set(ctx, "other", "v", 0)
		return nil
	})
	require.NoError(t, err)
	dir := t.TempDir()
	armer, err := reexec.Start(roleArmer, server.Addr, dir)
	require.NoError(t, err)
	defer armer.Kill()
	armed := func(i int) bool {
		left := c.PTTL(ctx, fmt.Sprint("drill:", i)).Val()
		return left > 0 && left < time.Hour
	}
	for n := 0; n < keys && ctx.Err() == nil; {
		if armed(n) {
			n++
		}
	}
	t.Setenv("REDISCLI_AUTH", "secret")
	code, out, errs := cli(t, nil, "heal", "--dir", dir)
	require.Equal(t, exitUsage, code, out)
	require.Contains(t, errs, "a process that injects faults has this journal open")
	require.NoError(t, syscall.Kill(armer.PID(), syscall.SIGKILL))
	<-armer.Done()

	t.Setenv("REDISCLI_AUTH", "wrong")
	code, out, errs = cli(t, nil, "heal", "--dir", dir)
	require.Equal(t, exitFail, code, out)
	require.Contains(t, out, "not undone: keys.expire{share: 100%} of ")
	require.Contains(t, errs, "1 of 1 could not be undone")

	t.Setenv("REDISCLI_AUTH", "secret")
	code, out, errs = cli(t, nil, "heal", "--dir", dir)
	require.Equal(t, exitPass, code, errs)
	require.Contains(t, out, "undone: keys.expire{share: 100%} of ")
	require.Contains(t, out, fmt.Sprintf("at %s db 3 1,200 keys have their own expiry back, 0 are gone, 0 had been written or healed meanwhile", server.Addr))
	for i := range keys {
		left := c.PTTL(ctx, fmt.Sprint("drill:", i)).Val()
		if i%2 == 0 {
			require.EqualValues(t, -1, left, i)
		} else {
			require.Equal(t, 3*time.Hour, left.Round(time.Hour), i)
		}
	}
	code, out, _ = cli(t, nil, "heal", "--dir", dir)
	require.Equal(t, exitPass, code)
	require.Equal(t, "nothing to heal: everything that was injected has been healed\n", out)

	for _, file := range []string{undo.JournalFile, undo.AuditFile} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		require.NotContains(t, string(text), "secret")
	}
	f, err := os.Open(filepath.Join(dir, undo.AuditFile))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	var actions []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		for _, a := range []string{undo.AuditFail, undo.AuditHeal} {
			if strings.Contains(lines.Text(), `"action":"`+a+`"`) {
				actions = append(actions, a)
			}
		}
	}
	require.Equal(t, []string{undo.AuditFail, undo.AuditHeal}, actions)
}
