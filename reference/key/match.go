package key

import (
	"slices"
	"strings"
)

// Owns says whether k is a key of the family: one that Build makes, or made when the schema had
// another Version or other dimensions than the tenant.
//
// A family called "tenant" and one whose name is "v" and a number can share keys; each of them owns
// those.
func (s Schema) Owns(k string) bool {
	rest, ok := strings.CutPrefix(k, s.before(""))
	if !ok {
		return false
	}
	parts := strings.Split(rest, ":")
	if s.Varies(Tenant) { // rest begins with the tenant
		if len(parts) < 2 || !escaped(parts[0]) || parts[1] != Escape(s.Family) {
			return false
		}
		parts = parts[2:]
	}
	if len(parts) < 2 || len(parts)%2 != 0 || !escaped(parts[0]) || !isVersion(parts[1]) {
		return false
	}
	last := 0 // keys hold the dimensions in their order
	for i := 2; i < len(parts); i += 2 {
		at := slices.Index(Dimensions, Dimension(parts[i]))
		if at <= last || !escaped(parts[i+1]) {
			return false
		}
		last = at
	}
	return true
}

// OwnsFor says whether k is a key of the family that belongs to a tenant. Of a family that does not
// vary by tenant no key does.
func (s Schema) OwnsFor(tenant, k string) bool {
	return s.Varies(Tenant) && strings.HasPrefix(k, s.before(tenant)) && s.Owns(k)
}

// Pieces gives what every key of the family, or with a tenant each that belongs to it, begins with
// and then holds in this order: the pattern of a scan, which may find other keys too.
func (s Schema) Pieces(tenant string) []string {
	if s.Varies(Tenant) && tenant == "" {
		return []string{s.before(""), ":" + Escape(s.Family) + ":"}
	}
	return []string{s.before(tenant)}
}

// before is what stands before the id, as far as it is known without a tenant.
func (s Schema) before(tenant string) string {
	switch {
	case !s.Varies(Tenant):
		return Escape(s.Family) + ":"
	case tenant == "":
		return "tenant:"
	}
	return "tenant:" + Escape(tenant) + ":" + Escape(s.Family) + ":"
}

// Escape writes s as it stands in a key: everything but letters, digits, dot, dash and underscore
// becomes %XX.
func Escape(s string) string {
	return string(escape(nil, s))
}

// escaped says whether s can be one part of a key.
func escaped(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case plain[c]:
		case c == '%' && i+2 < len(s) && hexDigit(s[i+1]) && hexDigit(s[i+2]):
			if plain[(value(s[i+1])<<4)|value(s[i+2])] {
				return false // it would stand there as itself
			}
			i += 2
		default:
			return false
		}
	}
	return s != ""
}

func hexDigit(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }

func value(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'A' + 10
}

func isVersion(s string) bool {
	digits, ok := strings.CutPrefix(s, "v")
	if !ok || digits == "" || digits[0] == '0' {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}
