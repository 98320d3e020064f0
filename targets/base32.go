package targets

import (
	"math/big"
	"regexp"
	"strings"
)

// alphabet has no letters that look alike (Crockford's base 32).
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

func alnum(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' }

// base32 writes a number with a fixed number of characters.
func base32(n uint64, length int) string {
	b := make([]byte, length)
	for i := length - 1; i >= 0; i-- {
		b[i] = alphabet[n&31]
		n >>= 5
	}
	return string(b)
}

func fromBase32(text string, length int) (n uint64, ok bool) {
	if len(text) != length {
		return 0, false
	}
	for i := range len(text) {
		d := strings.IndexByte(alphabet, text[i])
		if d < 0 {
			return 0, false
		}
		n = n<<5 | uint64(d)
	}
	return n, true
}

// uuidHex is how many hexadecimal digits of a UUID of version 4 are free, but for two bits.
const uuidHex = 30

// toUUID writes a code of 120 bits as a UUID of version 4.
func toUUID(code string) string {
	n := new(big.Int)
	for i := range len(code) {
		n.Lsh(n, 5).Or(n, big.NewInt(int64(strings.IndexByte(alphabet, code[i]))))
	}
	hex := n.Text(16)
	hex = strings.Repeat("0", uuidHex-len(hex)) + hex
	return hex[:8] + "-" + hex[8:12] + "-4" + hex[12:15] + "-8" + hex[15:18] + "-" + hex[18:]
}

var anyUUID = regexp.MustCompile(`[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?8[0-9a-f]{3}-?[0-9a-f]{12}`)

// fromUUID finds the code of a UUID in a text in lower case.
func fromUUID(text string) (code string, ok bool) {
	hex := strings.ReplaceAll(anyUUID.FindString(text), "-", "")
	if hex == "" {
		return "", false
	}
	n, ok := new(big.Int).SetString(hex[:12]+hex[13:16]+hex[17:], 16)
	if !ok {
		return "", false
	}
	b := make([]byte, codeLength)
	for i := codeLength - 1; i >= 0; i-- {
		b[i] = alphabet[new(big.Int).And(n, big.NewInt(31)).Uint64()]
		n.Rsh(n, 5)
	}
	return string(b), true
}
