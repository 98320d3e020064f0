// Package key builds cache keys by contract: every dimension that alters a value's shape is part of
// its key, a missing one is an error and never a default, and no two names share a key.
package key

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Name says which thing is meant, apart from how it is cached. Fields that the family does not vary
// by are empty.
type Name struct {
	Family   string
	ID       string
	Tenant   string
	Locale   string
	Currency string
	Variant  string
}

// Dimension is a property of the reader that alters the value's shape.
type Dimension string

// The dimensions a family may vary by.
const (
	Tenant   Dimension = "tenant"
	Locale   Dimension = "locale"
	Currency Dimension = "currency"
	Variant  Dimension = "variant"
)

// Dimensions lists every dimension in the order in which keys hold them.
var Dimensions = []Dimension{Tenant, Locale, Currency, Variant}

// Of gives the name's value for the dimension.
func (d Dimension) Of(n Name) string {
	switch d {
	case Tenant:
		return n.Tenant
	case Locale:
		return n.Locale
	case Currency:
		return n.Currency
	case Variant:
		return n.Variant
	}
	return ""
}

// Schema is the key contract of one family. Its keys have the form
//
//	tenant:{tenant}:product:{id}:v{version}[:locale:{locale}][:currency:{currency}][:variant:{variant}]
//
// without the tenant part when the family does not vary by tenant. A new shape of the value needs a
// new Version, so that old readers never meet new values.
type Schema struct {
	Family  string
	Version int // from 1
	Vary    []Dimension
}

// Varies says whether the family varies by d.
func (s Schema) Varies(d Dimension) bool {
	for _, v := range s.Vary {
		if v == d {
			return true
		}
	}
	return false
}

// Validate refuses a schema whose keys could be another's: those of a family called "tenant" begin
// as the keys of every family that varies by tenant do.
func (s Schema) Validate() error {
	if s.Family == string(Tenant) || s.Family == "" {
		return fmt.Errorf("a family can't be called %q", s.Family)
	}
	return nil
}

// Build makes the key of n. It refuses another family's name, an empty ID, a missing dimension, and
// a dimension that the family does not vary by: a value that ignores it would be shared wrongly or
// cached twice.
func (s Schema) Build(n Name) (string, error) {
	c := s.Compile()
	b, err := c.Append(make([]byte, 0, 64), &n)
	return string(b), err
}

// Compiled is a schema made ready for many keys.
type Compiled struct {
	family, middle, version string // its name; what stands before the ID; what stands after it
	vary                    [4]bool
}

// Compile makes the schema ready.
func (s Schema) Compile() Compiled {
	c := Compiled{family: s.Family, middle: Escape(s.Family) + ":", version: ":v" + strconv.Itoa(s.Version)}
	for i, d := range Dimensions {
		c.vary[i] = s.Varies(d)
	}
	return c
}

// Append is [Schema.Build] into a buffer of the caller's.
func (c *Compiled) Append(b []byte, n *Name) ([]byte, error) {
	if n.ID == "" || (n.Tenant != "") != c.vary[0] || (n.Locale != "") != c.vary[1] || (n.Currency != "") != c.vary[2] ||
		(n.Variant != "") != c.vary[3] || n.Family != c.family {
		return nil, c.refuse(n)
	}
	if c.vary[0] {
		b = append(escape(append(b, "tenant:"...), n.Tenant), ':')
	}
	b = append(b, c.middle...)
	b = append(escape(b, n.ID), c.version...)
	if c.vary[1] {
		b = escape(append(b, ":locale:"...), n.Locale)
	}
	if c.vary[2] {
		b = escape(append(b, ":currency:"...), n.Currency)
	}
	if c.vary[3] {
		b = escape(append(b, ":variant:"...), n.Variant)
	}
	return b, nil
}

// ErrFamily marks a name of a family that is not known where the name is used.
var ErrFamily = errors.New("unknown family")

// ErrName marks a name that no key can be made of: something is missing, or there is more than the
// family varies by.
var ErrName = errors.New("not a name of the family")

// badName is an [ErrName] that says why.
type badName struct{ error }

func (badName) Is(target error) bool { return target == ErrName }

// refuse says what is wrong with a name.
func (c *Compiled) refuse(n *Name) error {
	if n.Family != c.family {
		return badName{fmt.Errorf("key of family %s asked with a name of family %q", c.family, n.Family)}
	}
	if n.ID == "" {
		return badName{fmt.Errorf("key of family %s: the id is missing", c.family)}
	}
	for i, d := range Dimensions {
		switch v := d.Of(*n); {
		case v == "" && c.vary[i]:
			return badName{fmt.Errorf("key of family %s: %s is missing", c.family, d)}
		case v != "" && !c.vary[i]:
			return badName{fmt.Errorf("key of family %s: it does not vary by %s, but %q was given", c.family, d, v)}
		}
	}
	return nil
}

// Pattern is a Redis glob that matches every key of the family.
func (s Schema) Pattern() string {
	var b strings.Builder
	if s.Varies(Tenant) {
		b.WriteString("tenant:*:")
	}
	b.WriteString(Escape(s.Family) + ":*")
	return b.String()
}

// escape appends s so that it holds no separator and no character that means something in a Redis
// glob: everything but letters, digits, dot, dash and underscore becomes %XX.
func escape(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if !plain[s[i]] {
			return escapeFrom(append(b, s[:i]...), s[i:])
		}
	}
	return append(b, s...)
}

func escapeFrom(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		if c := s[i]; plain[c] {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// plain are the characters that stand for themselves.
var plain = func() (t [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") {
		t[c] = true
	}
	return t
}()
