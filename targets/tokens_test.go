package targets

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var forms = map[string]struct {
	form Form
	is   string // a regular expression of every value
}{
	"text":              {Form{}, `^f00dcafe\.\d+\.[0-9a-f]{8}\.[0-9a-f]{8}$`},
	"text of 40":        {Form{Length: 40}, `^[0-9a-z]{24}$`},
	"text of 100":       {Form{Length: 100}, `^f00dcafe\.`},
	"capitals":          {Form{Upper: true}, `^[0-9A-Z]{24}$`},
	"capitals of 20":    {Form{Length: 20, Upper: true}, `^[0-9A-Z]{18}$`},
	"text of 20":        {Form{Length: 20}, `^[0-9a-z]{18}$`},
	"text of 8":         {Form{Length: 8}, `^[0-9a-z]{8}$`},
	"integer":           {Form{Kind: FormInteger, Digits: 9}, `^[1-9][0-9]{8}$`},
	"integer of 12":     {Form{Kind: FormInteger, Digits: 12}, `^[1-9][0-9]{11}$`},
	"integer of 18":     {Form{Kind: FormInteger, Digits: 18}, `^[1-9][0-9]{17}$`},
	"price":             {Form{Kind: FormDecimal, Digits: 9, Places: 2}, `^[1-9][0-9]{6}\.[0-9]{2}$`},
	"decimal of 18":     {Form{Kind: FormDecimal, Digits: 18, Places: 4}, `^[1-9][0-9]{13}\.[0-9]{4}$`},
	"decimal, no place": {Form{Kind: FormDecimal, Digits: 9}, `^[1-9][0-9]{8}$`},
	"uuid":              {Form{Kind: FormUUID}, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$`},
	"ulid":              {Form{Kind: FormULID}, `^[0-7][0-9A-HJKMNP-TV-Z]{25}$`},
}

const formRun = "f00dcafe"

// Every form gives back the token that was written, also from within a longer text and however the
// service writes it.
func TestTokensInEveryForm(t *testing.T) {
	for name, c := range forms {
		t.Run(name, func(t *testing.T) {
			tokens, is, given := NewTokens(formRun, c.form), regexp.MustCompile(c.is), map[string]string{}
			for i := range 2000 {
				k := Key{Family: "price", ID: strconv.Itoa(i % 30)}
				seq := uint64(i)
				if i < 30 {
					seq = SeedSeq
				}
				token := NewToken(formRun, seq, k)
				v, err := tokens.Write(token)
				require.NoError(t, err)
				again, err := tokens.Write(token)
				require.NoError(t, err)
				require.Equal(t, v, again, "the value of a token stays the same")
				require.Regexp(t, is, v)
				if other, twice := given[v]; twice {
					require.Equal(t, token, other, "two tokens have the value %s", v)
				}
				given[v] = token
				for _, shown := range []string{v, " " + v + "\n", "(" + v + ")", strings.ToUpper(v), v + ".jpg", "Chair " + v + ", red"} {
					got, w := tokens.Read(shown, k)
					require.Equal(t, WholeToken, w, "%q", shown)
					require.Equal(t, token, got, "%q", shown)
				}
				parsed, ok := ParseToken(token)
				require.True(t, ok && parsed.For(k) && parsed.Seq == seq)
			}
			for _, other := range []string{"", "Chair", "0", "-1", "1e400000000", "12.345678901", "null", strings.Repeat("9", 30), "00000000-0000-4000-8000-000000000000"} {
				got, w := tokens.Read(other, Key{Family: "price", ID: "1"})
				require.Equal(t, NoToken, w, "%q", other)
				require.Equal(t, other, got)
			}
		})
	}
}

// Numbers are numbers, whatever a service makes of their zeros and points.
func TestNumbersAreRead(t *testing.T) {
	k := Key{Family: "price", ID: "1"}
	prices := NewTokens(formRun, Form{Kind: FormDecimal, Digits: 9, Places: 2})
	whole := NewTokens(formRun, Form{Kind: FormInteger, Digits: 9})
	zeros := 0
	for i := range uint64(500) {
		token := NewToken(formRun, i, k)
		v, err := prices.Write(token)
		require.NoError(t, err)
		f, err := strconv.ParseFloat(v, 64)
		require.NoError(t, err)
		shown := []string{v, v + "00", strconv.FormatFloat(f, 'f', -1, 64), strconv.FormatFloat(f, 'e', -1, 64), "EUR " + v, v[:len(v)-6] + "," + v[len(v)-6:] + " EUR", "+" + v}
		if strings.HasSuffix(v, "0") {
			zeros++
		}
		for _, s := range shown {
			got, w := prices.Read(s, k)
			require.Equal(t, WholeToken, w, "%s as %s", v, s)
			require.Equal(t, token, got)
		}
		v, err = whole.Write(token)
		require.NoError(t, err)
		for _, s := range []string{v, v + ".0", "000" + v, v + "e0"} {
			got, w := whole.Read(s, k)
			require.Equal(t, WholeToken, w, "%s as %s", v, s)
			require.Equal(t, token, got)
		}
	}
	require.Positive(t, zeros, "no price ended with a zero: nothing was tried")
}

// What was cut, changed or written over is a part of a token where the form has room for a mark,
// and never a whole one.
func TestTokensThatDidNotArriveWhole(t *testing.T) {
	k := Key{Family: "product", ID: "17"}
	for name, c := range forms {
		t.Run(name, func(t *testing.T) {
			tokens := NewTokens(formRun, c.form)
			first, err := tokens.Write(NewToken(formRun, SeedSeq, k))
			require.NoError(t, err)
			token := NewToken(formRun, 7, k)
			v, err := tokens.Write(token)
			require.NoError(t, err)
			marked := c.form.style() != listed || c.form.marked()
			for cut := 1; cut < len(v); cut++ {
				got, w := tokens.Read(v[:cut], k)
				require.NotEqual(t, WholeToken, w, "%q of %q is %q", v[:cut], v, got)
				require.Equal(t, w, Holds(formRun, got))
				if c.form.Kind == FormText && marked && cut > 10 || c.form.Kind == FormULID && cut > 10 {
					require.Equal(t, PartOfToken, w, "%q of %q", v[:cut], v)
				}
			}
			if len(first) > len(v) { // the one is written over the other, and the rest of that remains
				_, w := tokens.Read(v+first[len(v):], k)
				require.Equal(t, PartOfToken, w)
			}
			if c.form.Kind == FormUUID || c.form.Kind == FormULID || name == "text of 40" {
				b := []byte(v)
				for i := range b {
					if c.form.Kind == FormULID && i < 2 {
						continue // the same in all
					}
					old := b[i]
					for _, with := range []byte("07bz") {
						if b[i] = with; with != old && with != old|0x20 && old != '-' {
							_, w := tokens.Read(string(b), k)
							require.NotEqual(t, WholeToken, w, "%q for %q", b, v)
						}
					}
					b[i] = old
				}
			}
			got, w := tokens.Read(v, k)
			require.Equal(t, WholeToken, w)
			require.Equal(t, token, got)
			require.Equal(t, WholeToken, Holds(formRun, got))
		})
	}
	require.Equal(t, NoToken, Holds(formRun, "Chair"))
	require.Equal(t, NoToken, Holds(formRun, NewToken("other", 1, k)))
}

// Tokens of another run are somebody else's, in every form.
func TestTokensOfAnotherRun(t *testing.T) {
	k := Key{Family: "product", ID: "17"}
	for name, c := range forms {
		ours, theirs := NewTokens(formRun, c.form), NewTokens("0ddba11s", c.form)
		for i := range uint64(300) {
			_, err := ours.Write(NewToken(formRun, i, k))
			require.NoError(t, err)
			v, err := theirs.Write(NewToken("0ddba11s", i, k))
			require.NoError(t, err)
			_, w := ours.Read(v, k)
			require.Equal(t, NoToken, w, "%s: %q", name, v)
		}
	}
}

// A short form has room for few writes: more are refused rather than mixed up, and chance never
// looks like a mix-up.
func TestShortFormsHaveLittleRoom(t *testing.T) {
	form := Form{Kind: FormInteger, Digits: 4}
	require.Equal(t, uint64(900), form.Room())
	tokens, mine := NewTokens(formRun, form), Key{Family: "a", ID: "1"}
	for i := range uint64(900) {
		_, err := tokens.Write(NewToken(formRun, i, mine))
		require.NoError(t, err)
	}
	_, err := tokens.Write(NewToken(formRun, 900, mine))
	require.ErrorContains(t, err, "900 values are written, and more of the form an integer of 4 digits could not be told from others'")
	for n := 1000; n < 10000; n++ {
		got, w := tokens.Read(fmt.Sprint(n), Key{Family: "a", ID: "2"})
		require.Equal(t, NoToken, w, "%d is not accused of being another key's: %q", n, got)
	}
	require.Zero(t, Form{}.Room())
	require.Zero(t, Form{Kind: FormUUID}.Room())
}

// A value of another key is known as one where chance is out of the question.
func TestMixUpsInEveryForm(t *testing.T) {
	a, b := Key{Family: "a", ID: "1"}, Key{Family: "a", ID: "2"}
	for name, c := range forms {
		tokens := NewTokens(formRun, c.form)
		v, err := tokens.Write(NewToken(formRun, 3, a))
		require.NoError(t, err)
		got, w := tokens.Read(v, b)
		require.Equal(t, WholeToken, w, name)
		parsed, ok := ParseToken(got)
		require.True(t, ok && parsed.For(a) && !parsed.For(b), name)
	}
}

func FuzzTokensRead(f *testing.F) {
	k := Key{Family: "a", ID: "1"}
	var all []*Tokens
	for _, c := range forms {
		all = append(all, NewTokens(formRun, c.form))
	}
	f.Add("1e-40")
	f.Add("f00dcafe.1.2.3")
	f.Fuzz(func(t *testing.T, text string) {
		for _, tokens := range all {
			if got, w := tokens.Read(text, k); w != Holds(formRun, got) {
				t.Fatalf("%q is %v and gives %q in %s", text, w, got, tokens.Form())
			}
		}
	})
}

func TestTokensAtOnce(t *testing.T) {
	tokens := NewTokens(formRun, Form{Kind: FormInteger, Digits: 9})
	done := make(chan error)
	for range 8 {
		go func() {
			for i := range uint64(500) {
				k := Key{Family: "a", ID: strconv.FormatUint(rand.Uint64N(9), 10)}
				token := NewToken(formRun, i, k)
				v, err := tokens.Write(token)
				if err == nil {
					if got, _ := tokens.Read(v, k); got != token {
						err = fmt.Errorf("%s became %s", token, got)
					}
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		require.NoError(t, <-done)
	}
}

func TestBeyondKeys(t *testing.T) {
	for _, run := range []string{"", "a", "f00dcafe", "ffffffff"} {
		n, err := strconv.ParseUint(BeyondKeys(run), 10, 31)
		require.NoError(t, err)
		require.Greater(t, n, uint64(mostKeys))
	}
}
