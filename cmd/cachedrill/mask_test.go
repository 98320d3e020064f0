package main

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// What differs from one run to the next, and what stands for it. Words, names, signs and limits
// stay.
var varying = []struct {
	text *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`\b(seed|--seed) \d{8,}\b`), "$1 SEED"},
	{regexp.MustCompile(`\bgo1\.\d+(\.\d+)?\b`), "goVERSION"},
	{regexp.MustCompile(`(redis-server|valkey-server) \d[\d.]*`), "redis-server VERSION"},
	{regexp.MustCompile(`\bpid \d+`), "pid PID"},
}

// measured is a figure: a number that may have decimals, thousands and a unit. The digits of a
// name, as in mass-expiry-2, product:1 or eu-1, belong to the name unless figures are masked.
var measured = regexp.MustCompile(`-?\d[\d,]*(\.\d+)?(ns|us|µs|ms|s|%)?\b%?`)

// mask replaces what varies. With figures it also writes N for each number, with N for what its
// unit was: what a drill measured differs in every run, and so do the keys that it happened to
// accuse. A run of spaces, which pads figures, becomes two.
func mask(text string, figures bool) string {
	for _, v := range varying {
		text = v.text.ReplaceAllString(text, v.as)
	}
	if figures {
		text = measured.ReplaceAllString(text, "N")
		text = regexp.MustCompile(`(\S) {2,}`).ReplaceAllString(text, "$1  ")
	}
	return text
}

func TestMask(t *testing.T) {
	const line = "      stale{family=price} < 0.1%   observed 0.97% (10 of 1,031 reads)   fault, us"
	require.Equal(t, line, mask(line, false), "nothing in it varies but figures")
	require.Equal(t, "      stale{family=price} < N  observed N (N of N reads)  fault, us", mask(line, true))
	require.Equal(t, "seed 7, seed SEED at 127.0.0.1:PORT", mask("seed 7, seed 2871365120 at 127.0.0.1:40123", false))
	require.NotEqual(t, mask("PASS  mass-expiry", true), mask("FAIL  mass-expiry", true))
}
