package reference

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/reference/policy"
)

// race is two things that happen at the same time, in the order that hurts.
type race struct {
	name  string
	wrong string // what goes wrong where it is lost
	ways  []loss
	run   func(w *raceWorld) (broke bool) // nil: its test is another
	test  string                          // then: where that is
}

// loss is one way to lose a race: a control or part taken away, and with it whatever would make up
// for it.
type loss struct {
	without string
	backups []string
}

func alone(without string) loss { return loss{without: without} }

// part is a part of the design that no policy can leave out. The races put a double in its place
// that does without it.
type part struct{ name, does, double string }

var raceParts = []part{
	{"version-compare", "what is older than what Redis has is not stored", "the script that stores a fill looks at no version"},
	{"token-compare", "a fill is stored only while the lease is the one under which it was loaded", "the script that stores a fill looks at no token, and ends whatever lease there is"},
	{"refusal-heeded", "what Redis refuses to store is not kept in memory either", "the worker hears that it was stored"},
	{"lease-void", "an invalidation ends the lease of the load that it overtakes", "the lease is put back after each invalidation"},
	{"own-release", "a lease is given back only by its holder", "the lease is deleted, whosever it is"},
	{"lease-outlives-load", "a load is given up before its lease ends", "leases end after 30 ms"},
	{"one-step", "Redis changes and its workers are informed of it in one step", "the workers are informed first"},
	{"checksum", "a value is served only as a whole", "the sum is computed anew over what is left"},
	{"version-with-value", "version and value come from one read of the source", "the version is asked for after the value"},
	{"later-rounds", "a strong read joins only a question to the source that is asked after it came", "readers join the question that is under way"},
	{"fence-seen", "what was read under a fence is not held in memory", "the source does not tell of fences"},
	{"held-from-asking", "memory is held from the moment at which the source was asked", "it is held from the answer on"},
	{"fence-id", "the source takes a change only under the fence that stands", "the source takes every change"},
	{"gaps-at-begin", "a copy is in doubt if a message was lost since its load began", "a copy is as good as the moment at which its load ended"},
	{"purges-kept", "memory remembers a purge for the loads that are under way", "it forgets purges at once"},
}

func isPart(name string) bool {
	for _, p := range raceParts {
		if p.name == name {
			return true
		}
	}
	return false
}

func allRaces() []race {
	var all []race
	for _, some := range [][]race{fillRaces, leaseRaces, writeRaces, networkRaces, memoryRaces, strongRaces} {
		all = append(all, some...)
	}
	return all
}

func runRace(t *testing.T, r race, without ...string) (broke bool) {
	synctest.Test(t, func(t *testing.T) { broke = r.run(newRaceWorld(t, without...)) })
	return broke
}

// Every race ends well, unless what protects from it is taken away, and everything that makes up
// for that. No backup is named that is not one.
func TestRaces(t *testing.T) {
	for _, r := range allRaces() {
		if r.run == nil {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			require.False(t, runRace(t, r), "with everything in place")
			for _, w := range r.ways {
				gone := append([]string{w.without}, w.backups...)
				require.True(t, runRace(t, r, gone...), "without %s it must go wrong", strings.Join(gone, " and "))
				for i := range gone[:len(w.backups)] { // all but one are gone
					rest := append(append([]string{}, gone[:i]...), gone[i+1:]...)
					require.False(t, runRace(t, r, rest...), "%s is enough, without %s", gone[i], strings.Join(rest, " and "))
				}
				if len(w.backups) > 0 {
					require.False(t, runRace(t, r, gone[:len(gone)-1]...), "%s is enough", gone[len(gone)-1])
				}
			}
		})
	}
}

// Every part that stands in the table is missed in a race, and so is every control that is named.
func TestRacesNameWhatThereIs(t *testing.T) {
	missed := map[string]bool{}
	for _, r := range allRaces() {
		for _, w := range r.ways {
			missed[w.without] = true
			for _, name := range append([]string{w.without}, w.backups...) {
				if _, err := policy.Recommended().Without(name); !isPart(name) {
					require.NoError(t, err, r.name)
				}
			}
		}
	}
	for _, p := range raceParts {
		require.True(t, missed[p.name], p.name)
	}
}

const racesFile = "../docs/races.md"

// The page comes from the table. UPDATE_DOCS=1 go test ./reference -run TestRacesPage writes it.
func TestRacesPage(t *testing.T) {
	if os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(racesFile, []byte(racesPage()), 0o644))
	}
	have, err := os.ReadFile(racesFile)
	require.NoError(t, err)
	require.Equal(t, racesPage(), string(have), "%s is not what the tests say: UPDATE_DOCS=1 go test ./reference -run TestRacesPage", racesFile)
}

func racesPage() string {
	var b strings.Builder
	b.WriteString(racesIntro)
	b.WriteString("| race | what goes wrong | control | backups | test |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range allRaces() {
		test := r.test
		if r.run != nil {
			test = "TestRaces/" + strings.ReplaceAll(r.name, " ", "_")
		}
		for i, w := range r.ways {
			name, wrong := r.name, r.wrong
			if i > 0 {
				name, wrong = "", "" // as above
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | `%s` |\n", name, wrong, named(w.without), namedAll(w.backups), test)
		}
	}
	b.WriteString(racesParts)
	b.WriteString("| part | what it does | what stands in for its absence |\n| --- | --- | --- |\n")
	for _, p := range raceParts {
		fmt.Fprintf(&b, "| *%s* | %s | %s |\n", p.name, p.does, p.double)
	}
	b.WriteString(racesLimits)
	return b.String()
}

func named(name string) string {
	if isPart(name) {
		return "*" + name + "*"
	}
	return "`" + name + "`"
}

func namedAll(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	var out []string
	for _, n := range names {
		out = append(out, named(n))
	}
	return strings.Join(out, ", ")
}

const racesIntro = `# Races of the reference cache

<!-- Generated from the tests: UPDATE_DOCS=1 go test ./reference -run TestRacesPage -->

Each of these is played out step by step, in virtual time and on tiers in memory: who must be slow is stopped at that very step.
It ends well with everything in place. It goes wrong when the control of a line is taken away together with all of the line's backups,
and with any one of those still there it ends well. A race with several lines can be lost in several ways.

` + "`like this`" + ` are controls that a policy can leave out ([policies](policies.md)). *Like this* are parts of the design that nothing can leave out;
the tests put a double in their place that does it the way it must not be done. They are listed below.

"Wrong" means here that a superseded value is served after all workers have the message. It is less than a promise broken: beyond these, every
copy ends a TTL after it was read at the source, and in a bounded family no reader gets one that is older than the bound, whatever else fails.

`

const racesParts = `
## Parts of the design

`

const racesLimits = `
## What remains

A worker's memory is bounded, and may evict what it knows of a version while a read of Redis that was overtaken is on its way
(a round trip). What that read brings is then kept until it ends, a TTL after it was read at the source at the latest
(` + "`TestMemoryForgetsDuringAReadOfRedis`" + `).
`
