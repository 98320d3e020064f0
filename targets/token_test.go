package targets

import (
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var keys = rapid.Custom(func(t *rapid.T) Key {
	word := rapid.OneOf(rapid.StringMatching(`[a-c:0-2]{0,3}`), rapid.String())
	return Key{
		Family: word.Draw(t, "family"), ID: word.Draw(t, "id"), Tenant: word.Draw(t, "tenant"),
		Locale: word.Draw(t, "locale"), Currency: word.Draw(t, "currency"), Variant: word.Draw(t, "variant"),
	}
})

var runs = rapid.StringMatching(`[a-z0-9-]{1,12}`)

func TestTokenRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run, key := runs.Draw(t, "run"), keys.Draw(t, "key")
		seq := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, SeedSeq})).Draw(t, "seq")
		got, ok := ParseToken(NewToken(run, seq, key))
		if !ok || got.Run != run || got.Seq != seq || !got.For(key) {
			t.Fatalf("of run %q, seq %d, %v: %+v, %v", run, seq, key, got, ok)
		}
	})
}

// Every byte of a token, replaced by every other byte, left out, or doubled.
func TestTokenTellsCorruption(t *testing.T) {
	short := uint64(0) // of a token whose checksum begins with a zero, which a number could do without
	for !strings.Contains(NewToken("r1", short, Key{Family: "price", ID: "17", Tenant: "t3"})[len("r1.0."):], ".0") {
		short++
	}
	for _, seq := range []uint64{0, 7, 10203, short, SeedSeq} {
		whole := NewToken("r1", seq, Key{Family: "price", ID: "17", Tenant: "t3"})
		for i := range len(whole) {
			for b := range 256 {
				changed := whole[:i] + string([]byte{byte(b)}) + whole[i+1:]
				if changed == whole {
					continue
				}
				_, ok := ParseToken(changed)
				require.False(t, ok, "%q for %q", changed, whole)
			}
			_, ok := ParseToken(whole[:i] + whole[i+1:])
			require.False(t, ok, "%q without byte %d", whole, i)
			_, ok = ParseToken(whole[:i] + whole[i:i+1] + whole[i:])
			require.False(t, ok, "%q with byte %d twice", whole, i)
			_, ok = ParseToken(whole[:i])
			require.False(t, ok, "%q cut at %d", whole, i)
		}
	}
}

func TestTokenIsForItsKeyOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := keys.Draw(t, "a"), keys.Draw(t, "b")
		token, ok := ParseToken(NewToken("r1", 1, a))
		if !ok || token.For(b) != (a == b) {
			t.Fatalf("the token of %#v is for %#v: %v", a, b, token.For(b))
		}
	})
	// What one field ends with, the next one does not begin with.
	token, ok := ParseToken(NewToken("r1", 1, Key{Family: "a", ID: "b1"}))
	require.True(t, ok)
	for _, other := range []Key{
		{Family: "ab", ID: "1"}, {Family: "ab1"}, {Family: "a", Tenant: "b1"}, {Family: "a", ID: "b", Tenant: "1"},
		{Family: "a", ID: "b1", Variant: "0:"}, {},
	} {
		require.False(t, token.For(other), "%#v", other)
	}
}

// A run's name is without dots by contract: a token of another one is no token, rather than one of
// another run.
func TestTokenOfABadRunIsNoToken(t *testing.T) {
	for _, run := range []string{"", ".", "a.b", ".a", "a.", "a.1"} {
		_, ok := ParseToken(NewToken(run, 1, Key{Family: "a"}))
		require.False(t, ok, "run %q", run)
	}
}

// What has a right checksum may still be no token of ours.
func TestTokenOfAnotherFormIsNoToken(t *testing.T) {
	for _, body := range []string{"", "r1", "r1.1", "r1.-1.00000000", "r1.x.00000000", "r1.1.zz", "r1.18446744073709551616.00000000", "r1.1.100000000"} {
		_, ok := ParseToken(fmt.Sprintf("%s.%08x", body, crc32.Checksum([]byte(body), castagnoli)))
		require.False(t, ok, body)
	}
	rapid.Check(t, func(t *rapid.T) {
		if s := rapid.String().Draw(t, "s"); s != "" {
			if _, ok := ParseToken(s); ok {
				t.Fatalf("%q is a token", s)
			}
		}
	})
}
