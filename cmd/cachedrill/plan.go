package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/drill"
	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/scenarios"
	"github.com/cachedrill/cachedrill/targets/redis"
)

// runFlags are what a user can say about a run.
type runFlags struct {
	file, policy, redis, out string
	seed                     uint64
	seeded                   bool
	retry                    int
	sham, dry, quiet, json   bool
}

// plan is a run that was found to be possible.
type plan struct {
	flags     runFlags
	suite     scenarios.Suite
	scenarios []scenarios.Scenario
	where     environment.Options
	options   drill.Options
	redis     string // what the report says of it
}

func makePlan(f runFlags, names []string) (plan, string, error) {
	suite, note, err := loadSuite(f.file)
	if err != nil {
		return plan{}, "", err
	}
	p := plan{flags: f, suite: suite, scenarios: suite.Scenarios}
	if len(names) > 0 {
		p.scenarios = nil
		for _, n := range names {
			sc, err := suite.Scenario(n)
			if err != nil {
				return plan{}, "", exit{exitUsage, err}
			}
			p.scenarios = append(p.scenarios, sc)
		}
	}
	http, isHTTP := suite.Target.(*scenarios.HTTPTarget)
	if p.where.Policy, err = suite.Choose(f.policy); err != nil {
		return plan{}, "", exit{exitUsage, err}
	}
	p.options.Policy = p.where.Policy.Name
	p.where.Env, p.where.Out = suite.Env[p.options.Policy], f.out
	if f.retry < 0 {
		return plan{}, "", exit{exitUsage, fmt.Errorf("--retry-unknown %d: how often can't be negative", f.retry)}
	}
	if isHTTP {
		p.redis = http.RedisIs()
	} else if p.where.Backend, p.redis, err = redis.Resolve(f.redis); err != nil {
		return plan{}, "", exit{exitUsage, err}
	}
	p.options.Sham = f.sham
	p.options.Seed = f.seed
	if !f.seeded {
		p.options.Seed = uint64(rand.Uint32()) // short enough to type
	}
	p.where.Seed = p.options.Seed
	return p, note, nil
}

// total is how long load will be sent, over all scenarios.
func (p plan) total() time.Duration {
	var t time.Duration
	for _, sc := range p.scenarios {
		t += sc.Phases.Total()
	}
	return t
}

func (p plan) header() string {
	word := "drills"
	if len(p.scenarios) == 1 {
		word = "drill"
	}
	where := "redis " + string(p.where.Backend)
	if _, isHTTP := p.suite.Target.(*scenarios.HTTPTarget); isHTTP {
		where = p.suite.Target.String()
	}
	h := fmt.Sprintf("cachedrill  %d %s, ~%.0f s  policy %s  %s  seed %d",
		len(p.scenarios), word, (p.total() + time.Duration(len(p.scenarios))*time.Second).Seconds(),
		p.options.Policy, where, p.options.Seed)
	if p.flags.sham {
		h += "  SHAM: nothing is broken"
	}
	return h
}

// repeat is the command line that does the same again.
func (p plan) repeat(names []string) string {
	words := []string{"cachedrill run"}
	for _, n := range names {
		words = append(words, quoted(n))
	}
	if p.flags.file != "" {
		words = append(words, "-f "+quoted(p.flags.file))
	}
	if p.options.Policy != p.suite.DefaultPolicy() {
		words = append(words, "--policy "+p.options.Policy)
	}
	if p.flags.redis != "auto" {
		words = append(words, "--redis "+p.flags.redis)
	}
	if p.flags.sham {
		words = append(words, "--sham")
	}
	if p.flags.retry > 0 {
		words = append(words, fmt.Sprintf("--retry-unknown %d", p.flags.retry))
	}
	return strings.Join(append(words, fmt.Sprintf("--seed %d", p.options.Seed)), " ")
}

// keepRecords opens the undo journal and the audit log, where something might outlive us: what is
// ours ends with us.
func (p *plan) keepRecords() (closing func(), err error) {
	if _, isHTTP := p.suite.Target.(*scenarios.HTTPTarget); !isHTTP {
		return func() {}, nil
	}
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of the undo journal: %w", err)
	}
	if p.where.Journal, err = undo.OpenJournal(filepath.Join(stateDir, undo.JournalFile)); err != nil {
		return nil, err
	}
	if p.where.Audit, err = undo.OpenAudit(filepath.Join(cmp.Or(p.flags.out, stateDir), undo.AuditFile)); err != nil {
		return nil, errors.Join(err, p.where.Journal.Close())
	}
	return func() { _ = errors.Join(p.where.Journal.Close(), p.where.Audit.Close()) }, nil // every line was synced
}

// drill runs one scenario, again while it ends unknown and may be repeated.
func (p plan) drill(ctx context.Context, sc scenarios.Scenario, outlets []io.Writer, screen func() *screen) (drill.Result, error) {
	for try := 1; ; try++ {
		s, subs := screen(), newSubscribers()
		subs.add(s.show)
		for _, w := range outlets {
			subs.write(w, sc.Name)
		}
		opt := p.options
		opt.Events = subs.stream
		res, err := drill.RunIn(ctx, sc, environment.New, p.where, opt)
		lost := subs.end()
		s.clear()
		if lost != nil {
			s.say(lost.Error())
		}
		if err != nil || res.Scenario.Outcome != slo.Unknown || try > p.flags.retry {
			if try > 1 {
				res.Scenario.Attempts = try
			}
			if err == nil {
				secret.Scrub(&res.Scenario)
				s.say(strings.TrimSpace(strings.ToUpper(res.Scenario.Outcome.String()) + "   " + res.Scenario.Why))
			}
			return res, err
		}
		s.say(secret.Redact("unknown, trying again: " + res.Scenario.Why))
	}
}

// printPlan says what a run would do.
func printPlan(w io.Writer, p plan) {
	fmt.Fprintln(w, p.header())
	fmt.Fprintf(w, "redis    %s\n", p.redis)
	for _, sc := range p.scenarios {
		fmt.Fprintf(w, "\n%s   %s\n", sc.Name, sc.Why)
		ph := sc.Phases
		fmt.Fprintf(w, "  load     up to %.0f operations/s for %v: warmup %v, steady %v, fault %v, recovery %v\n",
			sc.Workload.Rate(), ph.Total(), ph.Warmup, ph.Steady, ph.Fault, ph.Recovery)
		for _, f := range sc.Faults {
			fmt.Fprintf(w, "  fault    %s at %v\n", f.Fault, (ph.Warmup + ph.Steady + f.At).Round(time.Millisecond))
		}
		for _, o := range sc.Objectives {
			fmt.Fprintf(w, "  %-8s %s\n", o.Group, o.Objective.Expr)
		}
	}
}

// quoted makes a word safe to paste into a shell.
func quoted(word string) string {
	if strings.ContainsAny(word, " \t'\"$&;|<>()*?[]#~`\\!") {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}
