package main

import (
	"strings"
	"testing"
)

func TestVerdictsCountSeeds(t *testing.T) {
	for want, all := range map[string][]result{
		"not run":     nil,
		"pass 2 of 2": {{Outcome: "pass"}, {Outcome: "pass"}},
		"**fail** 1 of 3, unknown 1 of 3, pass 1 of 3": {{Outcome: "pass"}, {Outcome: "fail"}, {Outcome: "unknown"}},
	} {
		if got := verdict(all); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What copies in the memory of several processes promise is a bound; of one process, and of a
// shared store, that a write is seen.
func TestWhatIsAsked(t *testing.T) {
	for _, c := range caches {
		one, two := c.within(1, calm) == 0, c.within(2, calm) == 0
		if one == c.proxy {
			t.Errorf("%s in one process: strong %v", c.name, one)
		}
		if shared := c.redis && (!c.memory || c.name == "rueidisaside"); two != shared {
			t.Errorf("%s in two processes: strong %v", c.name, two)
		}
	}
}

func TestSuitesFillEveryPlace(t *testing.T) {
	all, err := plan("", 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(caches) * 2 * len(situations); len(all) != want {
		t.Fatalf("%d drills are planned, want %d", len(all), want)
	}
	for _, s := range all {
		if suite := s.suite("/underdrill", "/cachedrill", []string{"a:1", "b:2", "c:3", "d:4"}); strings.Contains(suite, "%!") {
			t.Errorf("%s:\n%s", s.name(), suite)
		}
	}
	if _, err := plan("nothing", 1); err == nil {
		t.Error("an unknown cache was accepted")
	}
}
