package scenarios

import (
	"errors"
	"net/url"
	"strings"

	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

// address reads a URL, with variables of the environment in it. What is wrong is said without the
// URL, which may hold a password.
func address(n strictyaml.Node, of, example string, check func(string) error) string {
	expanded, err := secret.ExpandURL(n.String("a URL"))
	if err != nil {
		n.Fail("(hidden)", err.Error(), "export it before the drill, or write the URL without it")
		return ""
	}
	if check(expanded) == nil {
		return expanded
	}
	hint := example
	if strings.ContainsAny(expanded, "@%") {
		hint += "; " + secret.Encoding
	}
	n.Fail("(hidden)", "no address of "+of, hint)
	return ""
}

var errAddress = errors.New("no such address")

// checkWeb refuses what is no URL of HTTP.
func checkWeb(text string) error {
	if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errAddress
	}
	return nil
}

// checkPostgres refuses what is neither a URL of a PostgreSQL nor a list of key=value.
func checkPostgres(text string) error {
	scheme, _, isURL := strings.Cut(text, "://")
	if !isURL || strings.Contains(scheme, "=") {
		if !strings.Contains(text, "=") {
			return errAddress
		}
		return nil
	}
	if _, err := url.Parse(text); err != nil || scheme != "postgres" && scheme != "postgresql" {
		return errAddress
	}
	return nil
}
