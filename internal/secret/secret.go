// Package secret knows what must not be shown: users and passwords of URLs, what a suite takes from
// the environment, and values of headers. What is noted once is taken out of every text that goes
// through [Redact].
package secret

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	hidden   = "***"
	shortest = 6 // of a text that is looked for by itself; shorter ones are hidden only where a URL shows them
	loose    = 8 // from this length on a text is hidden within words too
)

// common are words that hide nothing, and that reports are full of.
var common = []string{
	"default", "postgres", "postgresql", "password", "cachedrill", "localhost", "127.0.0.1", "recommended", "bearer", "digest", "apikey",
	"product", "products", "source", "strong", "bounded", "eventual", "network", "require", "disable", "prefer", "verify-full", "service",
}

var (
	mu    sync.RWMutex
	known []string // longest first
)

// Note notes texts that must not be shown, with the forms that they have in URLs and in quotes.
func Note(texts ...string) {
	mu.Lock()
	defer mu.Unlock()
	for _, t := range texts {
		t = strings.TrimSpace(t)
		if len(t) < shortest || slices.Contains(common, strings.ToLower(t)) {
			continue
		}
		quoted := strconv.Quote(t)
		for _, form := range []string{t, url.QueryEscape(t), url.PathEscape(t), encode(t), quoted[1 : len(quoted)-1]} {
			if !slices.Contains(known, form) {
				known = append(known, form)
			}
		}
	}
	slices.SortStableFunc(known, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}

// NoteURL notes what must not be shown of a URL, also of one that does not parse: user, password,
// and the values of its query.
func NoteURL(text string) {
	from, to := userPart(text)
	user, password, _ := strings.Cut(text[from:to], ":")
	_, query, _ := strings.Cut(text, "?")
	all := []string{user, password}
	for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		_, v, _ := strings.Cut(pair, "=")
		all = append(all, v)
	}
	for _, v := range all {
		Note(v)
		if plain, err := url.QueryUnescape(v); err == nil {
			Note(plain)
		}
	}
}

// NoteVariables notes the values of the environment's variables that a text names as ${NAME}.
func NoteVariables(text string) {
	if from, _ := userPart(text); from > 0 {
		_, _ = ExpandURL(text) // that one is missing is said where it is needed
		return
	}
	filled := Fill(text)
	if strings.Contains(filled, "://") {
		NoteURL(filled)
	}
}

var (
	userOfURL = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/?#"'<>\[\]]*@`)
	userOfPgx = regexp.MustCompile(`\buser=\S+( database=\S+)`)
)

// Redact takes what must not be shown out of a text.
func Redact(text string) string {
	text = userOfURL.ReplaceAllString(text, "${1}"+hidden+"@")
	text = userOfPgx.ReplaceAllString(text, "user="+hidden+"$1")
	mu.RLock()
	defer mu.RUnlock()
	for _, v := range known {
		if strings.Contains(text, v) {
			text = hide(text, v)
		}
	}
	return text
}

// hide replaces a text; a short one only where it is a word of its own.
func hide(text, v string) string {
	if len(v) >= loose {
		return strings.ReplaceAll(text, v, hidden)
	}
	inWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	var out strings.Builder
	for {
		i := strings.Index(text, v)
		if i < 0 {
			out.WriteString(text)
			return out.String()
		}
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+len(v):])
		out.WriteString(text[:i])
		if inWord(before) || inWord(after) {
			out.WriteString(v)
		} else {
			out.WriteString(hidden)
		}
		text = text[i+len(v):]
	}
}

var queryOfURL = regexp.MustCompile(`\?\S*$`)

// URL is a URL as it may be shown: without user, password and query.
func URL(text string) string {
	from, to := userPart(text)
	if to > from {
		text = text[:from] + hidden + text[to:]
	}
	return queryOfURL.ReplaceAllString(text, "?"+hidden)
}
