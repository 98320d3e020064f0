package secret

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
)

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// Encoding explains what a user or a password must look like within a URL.
const Encoding = "in a user or password of a URL, what is special there is percent-encoded (@ is %40, : is %3A, / is %2F, # is %23, % is %25); " +
	"or let it come from the environment, as ${REDIS_PASSWORD}"

// Fill replaces ${NAME} in a text by the variables of the environment that there are. Others are
// left for whoever reads the text: a shell has variables of its own.
func Fill(text string) string {
	return variable.ReplaceAllStringFunc(text, func(m string) string {
		v, ok := os.LookupEnv(m[2 : len(m)-1])
		if !ok {
			return m
		}
		Note(v)
		return v
	})
}

// FillAll does [Fill] for the words of a command.
func FillAll(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = Fill(w)
	}
	return out
}

// ExpandURL replaces ${NAME} in a URL by variables of the environment. What takes the place of a
// user or a password is percent-encoded, unless it is already. The error of a variable that there
// is not names it. What may not be shown of the URL is noted.
func ExpandURL(text string) (string, error) {
	from, to := userPart(text)
	var missing error
	var out strings.Builder
	last := 0
	for _, m := range variable.FindAllStringSubmatchIndex(text, -1) {
		name := text[m[2]:m[3]]
		v, ok := os.LookupEnv(name)
		if !ok && missing == nil {
			missing = fmt.Errorf("the environment has no variable %s", name)
		}
		out.WriteString(text[last:m[0]])
		last = m[1]
		if m[0] >= from && m[1] <= to {
			Note(v)
			v = encode(v)
		}
		out.WriteString(v)
	}
	out.WriteString(text[last:])
	if missing != nil {
		return "", missing
	}
	NoteURL(out.String())
	return out.String(), nil
}

// References gives the user part of a URL as far as it is variables of the environment, such as
// ${USER}:${PASSWORD}, or the variable that is all of the URL.
func References(text string) string {
	if m := variable.FindString(text); m != "" && m == text {
		return m
	}
	from, to := userPart(text)
	user, password, both := strings.Cut(text[from:to], ":")
	only := func(s string) string {
		if variable.FindString(s) != s {
			return ""
		}
		return s
	}
	if both {
		return strings.TrimSuffix(only(user)+":"+only(password), ":")
	}
	return only(user)
}

// userPart is where the user and the password of a URL stand.
func userPart(text string) (from, to int) {
	scheme := strings.Index(text, "://")
	if scheme < 0 {
		return 0, 0
	}
	from = scheme + len("://")
	at := strings.LastIndexByte(text[from:], '@')
	if at < 0 {
		return from, from
	}
	return from, from + at
}

// encode percent-encodes a user or a password that is not encoded yet.
func encode(v string) string {
	if plain, err := url.PathUnescape(v); err == nil && plain != v && !strings.ContainsAny(v, ":/?#[]@ ") {
		return v
	}
	return strings.ReplaceAll(url.QueryEscape(v), "+", "%20")
}
