// Package token makes unique tokens: of leases, fences, purges and owners.
package token

import (
	"crypto/rand"
	"encoding/hex"
)

// Length is the number of characters of a token.
const Length = 24

// New gives a random token of [Length] hexadecimal digits.
func New() string {
	var b [Length / 2]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}
