package targets

import (
	"fmt"
	"strings"
)

// FormKind is what kind of field keeps the values of a family.
type FormKind uint8

// The kinds of fields.
const (
	FormText    FormKind = iota // a text, with room for a token or for less
	FormInteger                 // a whole number
	FormDecimal                 // a number with places behind the point
	FormUUID                    // an UUID of version 4
	FormULID                    // an ULID
)

// String gives the kind as suites name it.
func (k FormKind) String() string {
	return [...]string{"text", "integer", "decimal", "uuid", "ulid"}[k]
}

// Form says what values a field takes. The zero Form takes any text: tokens as [NewToken] makes
// them.
type Form struct {
	Kind   FormKind
	Digits int  // of a number, those behind the point included
	Places int  // of a decimal number: digits behind the point
	Length int  // of a text: the most characters; 0 is no bound
	Upper  bool // of a text: capital letters and digits alone
}

// Bounds and defaults of forms.
const (
	DefaultDigits = 9  // which 32 bits have room for
	LeastDigits   = 4  // fewer don't tell writes apart
	MostDigits    = 18 // of an integer of 64 bits
	LeastLength   = 4  // of a text

	wholeLength = 64 // of a text that has room for any token as it is
	codeLength  = 24 // of a compact token
	markLength  = 6  // of a text that begins with the mark of its run
	markedText  = 12 // a text of this length has room for a mark and enough beside it
	markDigits  = 9  // likewise of a number
)

// Number reports whether values are numbers.
func (f Form) Number() bool { return f.Kind == FormInteger || f.Kind == FormDecimal }

// String describes the form, e.g. "an integer of 12 digits".
func (f Form) String() string {
	switch f.Kind {
	case FormInteger:
		return fmt.Sprintf("an integer of %d digits", f.Digits)
	case FormDecimal:
		return fmt.Sprintf("a decimal number of %d digits, %d of them behind the point", f.Digits, f.Places)
	case FormUUID:
		return "a UUID"
	case FormULID:
		return "a ULID"
	}
	text := "a text"
	if f.Length > 0 {
		text += fmt.Sprintf(" of at most %d characters", f.Length)
	}
	if f.Upper {
		text += " in capital letters"
	}
	return text
}

// style is how a form holds what a token says.
type style uint8

const (
	asItIs  style = iota // the token itself
	encoded              // run, operation, key and checksum in 120 bits
	listed               // a number under which this process remembers what the token says
)

func (f Form) style() style {
	switch {
	case f.Number():
		return listed
	case f.Kind != FormText:
		return encoded
	case f.Length == 0 && !f.Upper, f.Length >= wholeLength && !f.Upper:
		return asItIs
	case f.Length == 0, f.Length >= codeLength:
		return encoded
	}
	return listed
}

// Room is how many different values of the form the writes of one drill may have; 0 is no bound. A
// tenth of what a field can hold is used at most: were it all in use, any value would be one of the
// drill's.
func (f Form) Room() uint64 {
	if f.style() != listed {
		return 0
	}
	return f.span() / 10
}

// span is how many numbers a listed form can hold.
func (f Form) span() uint64 {
	switch {
	case f.Number() && f.Digits >= 2*markDigits:
		return power(10, f.Digits-markDigits)
	case f.Number():
		return 9 * power(10, f.Digits-1)
	}
	return power(32, f.listedLength())
}

// listedLength is how many characters of a listed text are its number.
func (f Form) listedLength() int {
	n := f.Length
	if f.marked() {
		n -= markLength
	}
	return min(n, 12) // 60 bits
}

// marked reports whether a listed value begins with a mark of its run, by which one that did not
// arrive whole is recognised.
func (f Form) marked() bool {
	if f.Number() {
		return f.Digits >= 2*markDigits
	}
	return f.Length >= markedText
}

func power(base uint64, n int) uint64 {
	p := uint64(1)
	for range n {
		p *= base
	}
	return p
}

// Wholeness says how much of a token a value holds.
type Wholeness uint8

// What a value may hold of a token of the run.
const (
	NoToken     Wholeness = iota // nothing: no write of the run stored it
	PartOfToken                  // the mark of the run, and not the rest: it was cut or changed
	WholeToken
)

// String names what a value holds.
func (w Wholeness) String() string {
	return [...]string{"no token", "a part of a token", "a whole token"}[w]
}

// Holds says what the value of a [Reply] holds of a token of the run, whatever the form in which
// the service stores it: a target answers a part of a token as text that begins with the run's name
// and a dot.
func Holds(run, value string) Wholeness {
	switch t, ok := ParseToken(value); {
	case ok && t.Run == run:
		return WholeToken
	case run != "" && strings.HasPrefix(value, run+"."):
		return PartOfToken
	}
	return NoToken
}

// BeyondKeys is an ID that no workload has: a number, as all IDs are, and above all of them.
func BeyondKeys(run string) string {
	return fmt.Sprint(mostKeys + 1 + hashKey(Key{ID: run})%899_999_999)
}

// mostKeys bounds the IDs of a workload, which count from 1.
const mostKeys = 100_000_000
