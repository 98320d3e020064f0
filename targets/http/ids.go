package http

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/cachedrill/cachedrill/targets"
)

// keyForm says how a service names the keys of a family. A drill counts them, 1, 2, 3, ...; the
// zero form takes these numbers as they are. A key beyond the drill's, by which absence is looked
// at, gets a name of the same form that no key of the drill has.
type keyForm struct {
	form    string // integer, uuid, ulid; "": as counted
	digits  int    // of an integer; 0: as many as it has
	pattern template
}

var keyForms = []string{"integer", "uuid", "ulid", "text"}

const mostDigits = 18

// number reports whether the names are numbers in JSON.
func (f *keyForm) number() bool { return f.form == "integer" && f.pattern == nil }

// name gives the name of a key.
func (f *keyForm) name(id string) string {
	if f.pattern != nil {
		r := targets.Request{Key: targets.Key{ID: id}}
		return string(f.pattern.fill(nil, &filling{r: &r, key: f.bare(id)}))
	}
	return f.bare(id)
}

func (f *keyForm) bare(id string) string {
	switch f.form {
	case "integer":
		if f.digits > 0 {
			return leading(id, f.digits)
		}
		if !digitsOnly(id) {
			return strconv.FormatUint(beyond+fold(id)%beyond, 10)
		}
	case "uuid":
		return uuidOf(id)
	case "ulid":
		return "01" + strings.ToUpper(crockford(id, 24))
	}
	return id
}

// beyond is above the number of every key, and twice of it within 32 bits.
const beyond = 1_000_000_000

// uuidOf makes a UUID of version 4 of an ID, always the same one.
func uuidOf(id string) string {
	sum := sha256.Sum256([]byte("key " + id))
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func crockford(id string, length int) string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	sum := sha256.Sum256([]byte("key " + id))
	b := make([]byte, length)
	for i := range b {
		b[i] = alphabet[sum[i]&31]
	}
	return string(b)
}

// padded writes an ID with zeros before it. The highest tenth of the numbers of that width is for
// keys beyond those that a drill has.
func padded(id string, width int) string {
	n, ok := within(id, 0, power(width))
	if !ok {
		n = power(width) - 1 - fold(id)%max(1, power(width)/10)
	}
	text := strconv.FormatUint(n, 10)
	return strings.Repeat("0", max(0, width-len(text))) + text
}

// leading writes an ID as a number of so many digits, the first of which is not zero.
func leading(id string, digits int) string {
	first := power(digits - 1)
	n, ok := within(id, first, power(digits))
	if !ok {
		n = power(digits) - 1 - fold(id)%max(1, 9*first/10)
	}
	return strconv.FormatUint(n, 10)
}

// within gives the number of an ID, counted from first, unless it is beyond what a drill may have
// of the numbers before end.
func within(id string, first, end uint64) (uint64, bool) {
	n, err := strconv.ParseUint(id, 10, 64)
	most := end - first
	if err != nil || !digitsOnly(id) || n >= most-max(1, most/10) {
		return 0, false
	}
	return first + n, true
}

// MostKeys is how many keys a family may have; 0 is no bound.
func (f *Family) MostKeys() uint64 {
	least := uint64(0)
	narrow := func(n uint64) {
		if n -= 1 + max(1, n/10); least == 0 || n < least {
			least = n
		}
	}
	if f.Key.digits > 0 {
		narrow(power(f.Key.digits) - power(f.Key.digits-1))
	}
	for _, t := range f.templates() {
		for _, p := range t {
			if p.width > 0 {
				narrow(power(p.width))
			}
		}
	}
	return least
}

// templates are all that a family's keys are written into.
func (f *Family) templates() []template {
	all := []template{f.Key.pattern}
	for _, c := range []*Call{f.Read, f.Write, f.Delete, f.Purge, f.Bypass, f.Create.call()} {
		if c != nil {
			all = append(all, c.templates()...)
		}
	}
	return all
}

func fold(id string) uint64 {
	sum := sha256.Sum256([]byte("key " + id))
	return binary.BigEndian.Uint64(sum[:])
}

func power(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

func digitsOnly(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// sameName reports whether a service means the same key: it may answer a number without its zeros,
// or a name in other letters.
func sameName(a, b string) bool {
	if digitsOnly(a) && digitsOnly(b) {
		return strings.TrimLeft(a, "0") == strings.TrimLeft(b, "0")
	}
	return strings.EqualFold(a, b)
}

// filling gives what the placeholders of a request stand for; name is the key's at the service.
func (s *Service) filling(f *Family, r *targets.Request, name string) (*filling, error) {
	with := &filling{run: s.run, r: r, key: name, given: f.Create != nil && name != f.Key.name(r.Key.ID), token: r.Token, keyNumber: f.Key.number(), tokenNumber: f.Token.Number(), env: s.env}
	if r.Kind == targets.Write {
		var err error
		if with.token, err = s.tokens[f].Write(r.Token); err != nil {
			return nil, err
		}
	}
	return with, nil
}

// prepareFamilies readies the tokens of every family, and looks for the variables of the
// environment that its requests name.
func (s *Service) prepareFamilies() error {
	s.tokens, s.env = map[*Family]*targets.Tokens{}, map[string]string{}
	for _, f := range s.described() {
		s.tokens[f] = targets.NewTokens(s.run, f.Token)
		for _, t := range f.templates() {
			for _, p := range t {
				if p.env == "" {
					continue
				}
				v, ok := os.LookupEnv(p.env)
				if !ok {
					return fmt.Errorf("a header of the requests: the environment has no variable %s", p.env)
				}
				s.env[p.env] = v
			}
		}
	}
	return nil
}

// described are the families that the suite describes.
func (s *Service) described() []*Family {
	if s.common != nil {
		return []*Family{s.common}
	}
	return slices.Collect(maps.Values(s.families))
}
