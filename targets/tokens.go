package targets

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Tokens writes the tokens of one run in the form that a field takes, and finds them again in what
// it answers. Safe for concurrent use.
//
// Where a field has room for it, a value says by itself what wrote it. In shorter forms it is a
// number that only this Tokens knows: of n values given out, a value of others is taken for one of
// them with a probability of n to what the field can hold ([Form.Room] is a tenth of that).
type Tokens struct {
	run  string
	low  string // the run's name in lower case
	form Form
	mark string // with which values begin, as read; "": they have none

	mu     sync.RWMutex
	listed map[uint64]content
	others atomic.Bool // a value of others was read
}

// content is what a token says beside its run.
type content struct {
	seq uint64
	key uint32 // its hash
}

// NewTokens makes the tokens of a run in a form.
func NewTokens(run string, form Form) *Tokens {
	t := &Tokens{run: run, low: strings.ToLower(run), form: form, listed: map[uint64]content{}}
	sum := sha256.Sum256([]byte("run " + run))
	n := binary.BigEndian.Uint64(sum[:])
	switch {
	case form.style() == encoded:
		t.mark = base32(n%(1<<30), markLength)
	case form.style() == listed && form.marked() && form.Number():
		t.mark = fmt.Sprint(power(10, markDigits-1) + n%(9*power(10, markDigits-1)))
	case form.style() == listed && form.marked():
		t.mark = base32(n%(1<<30), markLength)
	}
	return t
}

// Run is the run whose tokens these are.
func (t *Tokens) Run() string { return t.run }

// Form is the form in which they are written.
func (t *Tokens) Form() Form { return t.form }

// Write gives the value that stands for a token of [NewToken].
func (t *Tokens) Write(token string) (string, error) {
	if t.form.style() == asItIs {
		return token, nil
	}
	parsed, ok := ParseToken(token)
	if !ok || parsed.Run != t.run {
		return "", fmt.Errorf("%q is no token of this run", token)
	}
	c := content{parsed.Seq, parsed.keyHash}
	if t.form.style() == encoded {
		return t.encode(c)
	}
	n, err := t.list(c)
	if err != nil {
		return "", err
	}
	return t.number(n), nil
}

// Read finds the token in a value of a key. Of a part of one it gives text that begins with the
// run's name and a dot, and is no token; without one, the value itself.
func (t *Tokens) Read(value string, k Key) (token string, w Wholeness) {
	switch t.form.style() {
	case asItIs:
		token, w = t.plain(value)
	case encoded:
		token, w = t.decode(value)
	default:
		token, w = t.find(value, k)
	}
	if w == NoToken && t.form.style() != asItIs { // of another family of the run, which has another form
		token, w = t.plain(value)
	}
	if w == NoToken {
		return value, w
	}
	return token, w
}

func (t *Tokens) token(c content) string { return newToken(t.run, c.seq, c.key) }

func (t *Tokens) part(value string) string { return t.run + "." + value }

// plain finds a token as it is, in capitals or not.
func (t *Tokens) plain(value string) (string, Wholeness) {
	if t.run == "" {
		return "", NoToken
	}
	at := strings.Index(value, t.run+".")
	if at < 0 {
		lower := strings.ToLower(value)
		if at = strings.Index(lower, t.low+"."); at < 0 {
			return "", NoToken
		}
		value = t.run + lower[at+len(t.run):]
		at = 0
	}
	rest := value[at+len(t.run):]
	if n := tokenRest(rest); n > 0 && !goesOn(rest[n:]) {
		if _, ok := ParseToken(value[at : at+len(t.run)+n]); ok {
			return value[at : at+len(t.run)+n], WholeToken
		}
	}
	end := at
	for end < len(value) && tokenByte(value[end]) {
		end++
	}
	return value[at:end], PartOfToken
}

// tokenRest is how long what follows the run's name in a token is; 0 when it isn't that.
func tokenRest(s string) int {
	n := 1
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	for range 2 {
		if len(s) < n+9 || s[n] != '.' || !allHex(s[n+1:n+9]) {
			return 0
		}
		n += 9
	}
	return n
}

// goesOn reports whether a text that follows a token may be the rest of another one, onto which it
// was written.
func goesOn(rest string) bool {
	switch {
	case rest == "":
		return false
	case rest[0] != '.':
		return tokenByte(rest[0])
	}
	return len(rest) > 8 && allHex(rest[1:9])
}

func allHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func tokenByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.'
}

// A compact token is 120 bits: the run's mark, the operation, the key's hash and a checksum of
// them.
const (
	seqBits  = 34
	seedCode = 1<<seqBits - 1
)

func checksum(mark string, seq uint64, key uint32) uint32 {
	b := binary.BigEndian.AppendUint64([]byte(mark), seq)
	return crc32.Checksum(binary.BigEndian.AppendUint32(b, key), castagnoli) & (1<<24 - 1)
}

func (t *Tokens) encode(c content) (string, error) {
	seq := c.seq
	if seq == SeedSeq {
		seq = seedCode
	} else if seq >= seedCode {
		return "", fmt.Errorf("operation %d is beyond what %s can name", seq, t.form)
	}
	// 34 + 32 + 24 bits are 18 characters.
	n := new(big.Int).SetUint64(seq)
	n.Lsh(n, 32).Or(n, new(big.Int).SetUint64(uint64(c.key)))
	n.Lsh(n, 24).Or(n, new(big.Int).SetUint64(uint64(checksum(t.mark, seq, c.key))))
	text := t.mark
	for shift := 85; shift >= 0; shift -= 5 {
		text += string(alphabet[new(big.Int).Rsh(n, uint(shift)).Uint64()&31])
	}
	switch {
	case t.form.Kind == FormUUID:
		return toUUID(text), nil
	case t.form.Kind == FormULID:
		return "01" + strings.ToUpper(text), nil
	case t.form.Upper:
		return strings.ToUpper(text), nil
	}
	return text, nil
}

// decode finds a compact token.
func (t *Tokens) decode(value string) (string, Wholeness) {
	text := strings.ToLower(value)
	if t.form.Kind == FormUUID {
		var ok bool
		if text, ok = fromUUID(text); !ok {
			return "", NoToken
		}
	}
	seen := NoToken
	for {
		at := strings.Index(text, t.mark)
		if at < 0 {
			break
		}
		if end := at + codeLength; end <= len(text) && (end == len(text) || !alnum(text[end])) {
			if c, ok := t.code(text[at:end]); ok {
				return t.token(c), WholeToken
			}
		}
		seen, text = PartOfToken, text[at+1:]
	}
	return t.part(value), seen
}

func (t *Tokens) code(text string) (content, bool) {
	n := new(big.Int)
	for i := len(t.mark); i < len(text); i++ {
		d := strings.IndexByte(alphabet, text[i])
		if d < 0 {
			return content{}, false
		}
		n.Lsh(n, 5).Or(n, big.NewInt(int64(d)))
	}
	low := func(bits uint) uint64 {
		v := new(big.Int).And(n, new(big.Int).SetUint64(1<<bits-1)).Uint64()
		n.Rsh(n, bits)
		return v
	}
	sum, key, seq := uint32(low(24)), uint32(low(32)), low(seqBits)
	if sum != checksum(t.mark, seq, key) {
		return content{}, false
	}
	if seq == seedCode {
		seq = SeedSeq
	}
	return content{seq, key}, true
}

// list gives a token its number.
func (t *Tokens) list(c content) (uint64, error) {
	span := t.form.span()
	t.mu.Lock()
	defer t.mu.Unlock()
	var b [8 + 4 + 4]byte
	binary.BigEndian.PutUint64(b[:], c.seq)
	binary.BigEndian.PutUint32(b[8:], c.key)
	for try := uint32(0); ; try++ {
		binary.BigEndian.PutUint32(b[12:], try)
		sum := sha256.Sum256(append([]byte(t.run+" "), b[:]...))
		n := binary.BigEndian.Uint64(sum[:]) % span
		switch have, taken := t.listed[n]; {
		case taken && have == c:
			return n, nil
		case taken:
		case uint64(len(t.listed)) >= t.form.Room():
			return 0, fmt.Errorf("%d values are written, and more of the form %s could not be told from others'", len(t.listed), t.form)
		default:
			t.listed[n] = c
			return n, nil
		}
	}
}

// number writes a listed number.
func (t *Tokens) number(n uint64) string {
	if !t.form.Number() {
		text := t.mark + base32(n, t.form.listedLength())
		if t.form.Upper {
			text = strings.ToUpper(text)
		}
		return text
	}
	var digits string
	if t.mark != "" {
		digits = fmt.Sprintf("%s%0*d", t.mark, t.form.Digits-markDigits, n)
	} else {
		digits = fmt.Sprint(power(10, t.form.Digits-1) + n)
	}
	if t.form.Kind == FormDecimal && t.form.Places > 0 {
		cut := len(digits) - t.form.Places
		return digits[:cut] + "." + digits[cut:]
	}
	return digits
}

// find finds a listed number in a value.
func (t *Tokens) find(value string, k Key) (string, Wholeness) {
	seen := NoToken
	for _, word := range t.words(value) {
		body, marked := strings.CutPrefix(word, t.mark)
		n, ok := t.listedNumber(body)
		if !marked {
			continue
		}
		if t.mark != "" {
			seen = PartOfToken
		}
		if !ok {
			continue
		}
		t.mu.RLock()
		c, found := t.listed[n]
		given := uint64(len(t.listed))
		t.mu.RUnlock()
		if !found || t.mark == "" && c.key != hashKey(k) && (t.others.Load() || given > t.form.span()/mixOdds) {
			continue // of another key's values it may be one by chance
		}
		return t.token(c), WholeToken
	}
	if seen == NoToken {
		t.others.Store(true)
	}
	return t.part(value), seen
}

// mixOdds is one to how many a value of others may be taken for one of another key, at most.
const mixOdds = 10_000

// listedNumber reads the number of a listed value.
func (t *Tokens) listedNumber(body string) (uint64, bool) {
	if !t.form.Number() {
		return fromBase32(body, t.form.listedLength())
	}
	want := t.form.Digits - len(t.mark)
	if len(body) != want {
		return 0, false
	}
	var n uint64
	for i := range len(body) {
		n = 10*n + uint64(body[i]-'0')
	}
	if t.mark == "" {
		if body[0] == '0' {
			return 0, false
		}
		n -= power(10, want-1)
	}
	return n, true
}

// words are the parts of a value that may be a listed one, in lower case; of a decimal number, its
// digits without the point.
func (t *Tokens) words(value string) []string {
	if !t.form.Number() {
		return strings.FieldsFunc(strings.ToLower(value), func(r rune) bool { return r > 127 || !alnum(byte(r)) })
	}
	value = strings.TrimSpace(value)
	if digits, ok := t.digits(value); ok {
		return []string{digits}
	}
	var words []string
	for _, f := range strings.FieldsFunc(value, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != ',' }) {
		if digits, ok := t.digits(strings.ReplaceAll(strings.Trim(f, ".,"), ",", "")); ok {
			words = append(words, digits)
		}
	}
	return words
}

// digits gives the digits of a number, however it is written: 12.50, 12.5 and 1.25e1 are one.
func (t *Tokens) digits(text string) (string, bool) {
	if len(text) == 0 || len(text) > 40 || strings.ContainsAny(text, "/_xXpPbBoO") {
		return "", false
	}
	if e := strings.IndexAny(text, "eE"); e >= 0 {
		if n, err := strconv.Atoi(text[e+1:]); err != nil || n > 40 || n < -40 {
			return "", false
		}
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || r.Sign() < 0 {
		return "", false
	}
	if t.form.Kind == FormDecimal {
		r.Mul(r, new(big.Rat).SetInt(new(big.Int).SetUint64(power(10, t.form.Places))))
	}
	if !r.IsInt() {
		return "", false
	}
	return r.Num().String(), true
}
