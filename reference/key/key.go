// Package key builds cache keys by contract: every dimension that alters a value's shape is part of
// its key, a missing one is an error and never a default, and no two names share a key.
package key

import (
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

// Build makes the key of n. It refuses another family's name, an empty ID, a missing dimension, and
// a dimension that the family does not vary by: a value that ignores it would be shared wrongly or
// cached twice.
func (s Schema) Build(n Name) (string, error) {
	if n.Family != s.Family {
		return "", fmt.Errorf("key of family %s asked with a name of family %q", s.Family, n.Family)
	}
	if n.ID == "" {
		return "", fmt.Errorf("key of family %s: the id is missing", s.Family)
	}
	for _, d := range Dimensions {
		switch v := d.Of(n); {
		case v == "" && s.Varies(d):
			return "", fmt.Errorf("key of family %s: %s is missing", s.Family, d)
		case v != "" && !s.Varies(d):
			return "", fmt.Errorf("key of family %s: it does not vary by %s, but %q was given", s.Family, d, v)
		}
	}
	var b strings.Builder
	b.Grow(64)
	if s.Varies(Tenant) {
		b.WriteString("tenant:")
		escape(&b, n.Tenant)
		b.WriteByte(':')
	}
	escape(&b, s.Family)
	b.WriteByte(':')
	escape(&b, n.ID)
	b.WriteString(":v")
	b.WriteString(strconv.Itoa(s.Version))
	for _, d := range Dimensions[1:] {
		if s.Varies(d) {
			b.WriteByte(':')
			b.WriteString(string(d))
			b.WriteByte(':')
			escape(&b, d.Of(n))
		}
	}
	return b.String(), nil
}

// Pattern is a Redis glob that matches every key of the family.
func (s Schema) Pattern() string {
	var b strings.Builder
	if s.Varies(Tenant) {
		b.WriteString("tenant:*:")
	}
	escape(&b, s.Family)
	b.WriteString(":*")
	return b.String()
}

// escape writes s so that it holds no separator and no character that means something in a Redis
// glob: everything but letters, digits, dot, dash and underscore becomes %XX.
func escape(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c := s[i]
		if plain(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
}
