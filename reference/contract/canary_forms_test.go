package contract

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// forms are the ways in which a text may hide in others: as it is, in hexadecimal, escaped as in
// JSON and in URLs, and in base64, whose letters depend on what stands before it.
func forms(text string) map[string][]byte {
	var escaped, percent strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&escaped, `\u%04x`, c)
		fmt.Fprintf(&percent, "%%%02X", c)
	}
	out := map[string][]byte{
		"raw": []byte(text), "hex": []byte(hex.EncodeToString([]byte(text))), "HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(text)))),
		"json": []byte(escaped.String()), "JSON": []byte(strings.ReplaceAll(strings.ToUpper(escaped.String()), `\U`, `\u`)), "url": []byte(percent.String()),
	}
	for shift := range 3 {
		// Letters at both ends hold bits of the neighbours: those are left out.
		whole := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + text))
		whole = whole[(shift*8+5)/6 : (shift+len(text))*8/6]
		out[fmt.Sprint("base64 at ", shift)] = []byte(whole)
		out[fmt.Sprint("base64 for URLs at ", shift)] = []byte(strings.NewReplacer("+", "-", "/", "_").Replace(whole))
	}
	return out
}

// Whatever stands around it, a canary is found in each of its forms.
func TestCanariesAreFoundInEveryForm(t *testing.T) {
	const canary = "cnryEmail9e3779b1"
	hide := map[string]func(string) string{
		"raw":  func(s string) string { return s },
		"hex":  func(s string) string { return hex.EncodeToString([]byte(s)) },
		"HEX":  func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		"std":  func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"url":  func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		"json": func(s string) string { return string(forms(s)["json"]) },
		"JSON": func(s string) string { return string(forms(s)["JSON"]) },
		"%":    func(s string) string { return string(forms(s)["url"]) },
	}
	for name, as := range hide {
		for before := range 7 {
			for after := range 4 {
				for _, c := range []string{canary, canary[:16], canary[:15]} {
					text := as(strings.Repeat("\xff", before) + c + strings.Repeat("?", after))
					require.NotEmpty(t, found(places{"there": []byte(text)}, []string{c}), "%s: %s", name, text)
					other := as(strings.Repeat("\xff", before) + "cnryEmail9e3778b1" + strings.Repeat("?", after))
					require.Empty(t, found(places{"there": []byte(other)}, []string{canary}), "%s: %s", name, other)
				}
			}
		}
	}
}
