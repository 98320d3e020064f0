package undo

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/cachedrill/cachedrill/faults/rediskeys"
	"github.com/cachedrill/cachedrill/internal/pause"
	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/internal/thousands"
)

// HealResult is what became of one injection that had not been healed.
type HealResult struct {
	Fault    string
	Injected time.Time
	Outcome  Outcome
	Detail   string // what was done, or why nothing was
}

// Outcome says how far an injection could be undone.
type Outcome string

// What can become of an injection.
const (
	Undone        Outcome = "undone"          // it was undone now, and that was verified
	NothingToUndo Outcome = "nothing to undo" // it had ended already
	Impossible    Outcome = "can't be undone" // what was lost stays lost
	Failed        Outcome = "not undone"      // try again
)

// ErrJournalInUse means that a process that may have faults injected is still there.
var ErrJournalInUse = errors.New("a process that injects faults has this journal open: end it, and it heals by itself")

// TTLSlack is how exactly a TTL shows a moment: a Redis may age TTLs in steps, and on a busy
// machine those come late.
const TTLSlack = 250 * time.Millisecond

const (
	repairCallLimit  = 10 * time.Second // of one exchange with a Redis
	repairStartLimit = 60 * time.Second // for a Redis to be started
)

// Repair undoes what a journal says was injected and not healed, the latest first, and notes in the
// journal what need not be tried again. password is for the Redis servers that want one: the
// journal holds none. What it did goes to the audit log too, which may be nil. No journal is an
// empty one. An error means that the journal could not be read or written; what could not be undone
// is in the outcomes.
func Repair(ctx context.Context, path, password string, audit *Audit) ([]HealResult, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	j, err := OpenJournal(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = j.Close() }()
	if err := flock(j.file, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrJournalInUse
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	open, err := unhealed(path)
	if err != nil {
		return nil, err
	}
	var out []HealResult
	for _, inj := range slices.Backward(open) {
		r := inj.repair(ctx, password)
		out = append(out, r)
		action, cause := AuditHeal, error(nil)
		if r.Outcome == Failed {
			action, cause = AuditFail, errors.New(r.Detail)
		}
		_ = audit.Log(action, r.Fault, inj.where(), string(r.Outcome)+": "+r.Detail, cause)
		if r.Outcome == Failed {
			continue
		}
		if err := j.add(line{ID: inj.id, Fault: inj.fault, Healed: true}); err != nil {
			return out, err
		}
	}
	return out, nil
}

// injection is the lines of a journal about one injection.
type injection struct {
	id, fault string
	at        time.Time
	undo      []Step
}

// unhealed reads the injections that have not been healed, in the order of their beginning.
func unhealed(path string) ([]*injection, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the undo journal: %w", err)
	}
	defer func() { _ = f.Close() }()
	var all []*injection
	byID := map[string]*injection{}
	r := bufio.NewReader(f)
	for n := 1; ; n++ {
		raw, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // OpenJournal has taken away a line without an end
		}
		if err != nil {
			return nil, fmt.Errorf("reading the undo journal: %w", err)
		}
		var l line
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&l); err != nil || l.ID == "" {
			return nil, fmt.Errorf("%s:%d: this is no line of an undo journal: %w", filepath.Clean(path), n, err)
		}
		inj := byID[l.ID]
		if inj == nil {
			inj = &injection{id: l.ID, fault: l.Fault, at: l.At}
			byID[l.ID] = inj
			all = append(all, inj)
		}
		if l.Undo != nil {
			inj.undo = append(inj.undo, *l.Undo)
		}
		if l.Healed {
			inj.undo = nil
		}
	}
	return slices.DeleteFunc(all, func(inj *injection) bool { return len(inj.undo) == 0 }), nil
}

// where names the Redis servers that are concerned.
func (inj *injection) where() (out []string) {
	for _, u := range inj.undo {
		if u.Redis != nil && !slices.Contains(out, u.Redis.String()) {
			out = append(out, u.Redis.String())
		}
	}
	return out
}

func (inj *injection) repair(ctx context.Context, password string) HealResult {
	out := HealResult{Fault: inj.fault, Injected: inj.at}
	keys := map[Server]*disarmed{}
	for _, u := range slices.Backward(inj.undo) { // a key that was armed twice gets back what it had before the first time last
		var err error
		switch u.Kind {
		case kindNothing:
			out.Outcome, out.Detail = NothingToUndo, u.Why
		case kindLost:
			out.Outcome, out.Detail = Impossible, u.Why
		case kindStart:
			out.Outcome, out.Detail, err = startAgain(ctx, u, password)
		case kindArmed:
			if u.Redis == nil {
				continue // that it began
			}
			if keys[*u.Redis] == nil {
				keys[*u.Redis] = &disarmed{}
			}
			err = keys[*u.Redis].undo(ctx, u, password)
		default:
			err = fmt.Errorf("another version of this program wrote how to undo it: %q", u.Kind)
		}
		if err != nil {
			out.Outcome, out.Detail = Failed, err.Error()
			return out
		}
	}
	if out.Outcome == "" {
		out.Outcome, out.Detail = summary(keys)
	}
	return out
}

// disarmed counts armed keys of one Redis.
type disarmed struct {
	back, gone, other int64 // have their own expiry again; are gone; had another expiry already
	ended             bool  // the Redis ended with the process that armed the keys
}

func (d *disarmed) undo(ctx context.Context, u Step, password string) error {
	if len(u.Keys) != len(u.Own) {
		return errors.New("the journal holds another number of keys than of expiries")
	}
	c, err := u.Redis.dial(password)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, repairCallLimit)
	defer cancel()
	names := make([]string, len(u.Keys))
	for i, k := range u.Keys {
		names[i] = string(k)
	}
	here := rediskeys.Of(c)
	back, err := here.RestoreExpiry(ctx, u.Armed, TTLSlack, names, u.Own)
	if errors.Is(err, syscall.ECONNREFUSED) && u.Redis.Own {
		d.ended = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("giving the keys at %s their own expiry back: %w", u.Redis, err)
	}
	gone, still, err := here.StillSet(ctx, u.Armed, TTLSlack, names, u.Own)
	if err != nil {
		return fmt.Errorf("looking at the keys at %s: %w", u.Redis, err)
	}
	if still > 0 {
		return fmt.Errorf("%s keys at %s still have the expiry that they were given", thousands.Group(still), u.Redis)
	}
	d.back, d.gone, d.other = d.back+back, d.gone+gone, d.other+int64(len(names))-back-gone
	return nil
}

func summary(keys map[Server]*disarmed) (Outcome, string) {
	var all disarmed
	var lines []string
	for _, at := range slices.SortedFunc(maps.Keys(keys), func(a, b Server) int { return strings.Compare(a.String(), b.String()) }) {
		d := keys[at]
		if d.ended {
			lines = append(lines, at.String()+" was the process's own Redis, and ended with it")
			continue
		}
		lines = append(lines, fmt.Sprintf("at %s %s keys have their own expiry back, %s are gone, %s had been written or healed meanwhile",
			at, thousands.Group(d.back), thousands.Group(max(d.gone, 0)), thousands.Group(max(d.other, 0))))
		all.back, all.gone = all.back+d.back, all.gone+d.gone
	}
	text := strings.Join(lines, "; ")
	switch {
	case len(keys) == 0:
		return NothingToUndo, "no key had been touched yet"
	case all.back > 0:
		return Undone, text
	case all.gone > 0:
		return Impossible, text + ": keys that have expired can't be brought back"
	}
	return NothingToUndo, text
}

// startAgain runs the command that starts a Redis, unless it answers, and waits for it.
func startAgain(ctx context.Context, u Step, password string) (Outcome, string, error) {
	if u.Redis == nil {
		return "", "", errors.New("the journal does not say which Redis")
	}
	c, err := u.Redis.dial(password)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, repairStartLimit)
	defer cancel()
	if answers(ctx, c) == nil {
		return NothingToUndo, fmt.Sprintf("the Redis at %s answers", u.Redis), nil
	}
	if len(u.Command) == 0 {
		return "", "", fmt.Errorf("the Redis at %s does not answer, and it is not known how to start it: start it, and try again", u.Redis)
	}
	words := secret.FillAll(u.Command)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.WaitDelay = time.Second // for what it leaves behind with our pipes
	output, err := cmd.CombinedOutput()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return "", "", fmt.Errorf("starting the Redis at %s with %q: %w: %s", u.Redis, u.Command, err, bytes.TrimSpace(output))
	}
	for {
		err := answers(ctx, c)
		if err == nil {
			return Undone, fmt.Sprintf("the Redis at %s was started with %q and answers; what it held is lost", u.Redis, u.Command), nil
		}
		if pause.For(ctx, 50*time.Millisecond) != nil {
			return "", "", fmt.Errorf("the Redis at %s was started with %q and does not answer: %w", u.Redis, u.Command, err)
		}
	}
}

func answers(ctx context.Context, c *goredis.Client) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return c.Ping(ctx).Err()
}

// UserVariable names the environment's variable with the user of a Redis, where a suite wrote it
// into a URL itself.
const UserVariable = "CACHEDRILL_REDIS_USER"

// login gives user and password: from the variables that the journal names, else those of
// [UserVariable] and of the caller.
func (r Server) login(password string) (string, string, error) {
	user := cmp.Or(r.User, os.Getenv(UserVariable))
	if r.Login == "" {
		return user, password, nil
	}
	from := r.Login
	if own := secret.Fill(from); !strings.Contains(own, "://") {
		from = "redis://" + from + "@127.0.0.1"
	}
	text, err := secret.ExpandURL(from)
	if err != nil {
		return "", "", fmt.Errorf("the user or password of the Redis at %s: %w", r, err)
	}
	o, err := goredis.ParseURL(text)
	if err != nil {
		return "", "", fmt.Errorf("the user or password of the Redis at %s, from %s, can't be read; %s", r, r.Login, secret.Encoding)
	}
	return cmp.Or(o.Username, user), cmp.Or(o.Password, password), nil
}

func (r Server) dial(password string) (*goredis.Client, error) {
	user, password, err := r.login(password)
	if err != nil {
		return nil, err
	}
	o := &goredis.Options{
		Addr: r.Addr, DB: r.DB, Username: user, Password: password,
		Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries: -1, DialerRetries: 1, PoolSize: 1000, ContextTimeoutEnabled: true,
		DialTimeout: 2 * time.Second, ReadTimeout: repairCallLimit, WriteTimeout: repairCallLimit,
	}
	if r.TLS {
		host, _, _ := net.SplitHostPort(r.Addr)
		o.TLSConfig = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	}
	return goredis.NewClient(o), nil
}
