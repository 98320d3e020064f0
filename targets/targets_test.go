package targets

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKeyString(t *testing.T) {
	for _, c := range []struct {
		key  Key
		want string
	}{
		{Key{Family: "product", ID: "17"}, "product:17"},
		{Key{Family: "product", ID: "17", Tenant: "t3"}, "product:17 (tenant t3)"},
		{Key{Family: "product", ID: "17", Tenant: "t3", Locale: "de"}, "product:17 (tenant t3, locale de)"},
		{Key{Family: "price", ID: "4", Currency: "EUR"}, "price:4 (currency EUR)"},
		{Key{Family: "price", ID: "4", Locale: "en", Variant: "b"}, "price:4 (locale en, variant b)"},
		{Key{"a", "b", "c", "d", "e", "f"}, "a:b (tenant c, locale d, currency e, variant f)"},
		{Key{}, ":"},
	} {
		require.Equal(t, c.want, c.key.String())
	}
}

func TestWordsOfEvidence(t *testing.T) {
	require.Equal(t, []string{"read", "write", "invalid"}, []string{Read.String(), Write.String(), Kind(9).String()})
	require.Equal(t, []string{"ok", "failed", "unknown", "accepted", "invalid"}, []string{OK.String(), Failed.String(), Unknown.String(), Accepted.String(), Outcome(9).String()})
}

// What is accepted was answered, and is open all the same.
func TestAnsweredAndOpen(t *testing.T) {
	for o, want := range map[Outcome][2]bool{OK: {true, false}, Failed: {false, false}, Unknown: {false, true}, Accepted: {true, true}} {
		require.Equal(t, want, [2]bool{o.Answered(), o.Open()}, o)
	}
}

// A request that was sent late has been waited for since it was due.
func TestLatencyCountsFromDue(t *testing.T) {
	op := Operation{Due: 1 * time.Second, Sent: 3 * time.Second, Returned: 7 * time.Second}
	require.Equal(t, 6*time.Second, op.Latency())
	require.Equal(t, 4*time.Second, op.Service())
}
