package http

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/targets"
)

func decode(text string) (*Spec, string) {
	n, problems := strictyaml.Parse([]byte(text))
	s := Decode(n)
	var found []string
	for _, p := range problems.Sorted() {
		found = append(found, p.String())
	}
	return s, strings.Join(found, "\n")
}

const good1 = `
instances: {eu: ["http://127.0.0.1:1", "http://127.0.0.1:2"], us: ["https://localhost:3"]}
read: {GET: "/products/{key}?tenant={tenant}"}
write: {PUT: "/products/{key}?tenant={tenant}", json: {title: "{token}", deep: [1, true, null, "{key}"]}}
answer: {token: {json: $.title}}
families:
  product: {class: bounded, within: 10s}
  price: {read: {GET: "/prices/{key}"}, write: {POST: "/prices", body: "id={key}&value={token}"}}
`

func TestDecode(t *testing.T) {
	s, problems := decode(good1)
	require.Empty(t, problems)
	require.Equal(t, []string{"eu", "us"}, s.RegionNames())
	require.Equal(t, []string{"product", "price"}, s.FamilyNames())
	product, ok := s.Family("product")
	require.True(t, ok)
	require.Equal(t, []string{"tenant"}, product.Vary)
	r := targets.Request{Key: targets.Key{Family: "product", ID: `a/b "c" ü`, Tenant: "x&y"}, Token: `t"1`}
	filled := &filling{run: "run", r: &r, key: r.Key.ID, token: r.Token}
	require.Equal(t, `/products/a%2Fb%20%22c%22%20%C3%BC?tenant=x%26y`, string(product.Read.Target.fill(nil, filled)))
	require.JSONEq(t, `{"title": "t\"1", "deep": [1, true, null, "a/b \"c\" ü"]}`, string(product.Write.Body.fill(nil, filled)))
	price, _ := s.Family("price")
	require.Empty(t, price.Vary)
	require.Equal(t, `id=a/b "c" ü&value=t"1`, string(price.Write.Body.fill(nil, filled)))
	_, ok = s.Family("another")
	require.False(t, ok, "where families are named, there are no others")
}

func TestDecodeTellsWhatIsWrong(t *testing.T) {
	for change, says := range map[[2]string]string{
		{`"http://127.0.0.1:1"`, `"127.0.0.1:1"`}:                                            `2:18: "127.0.0.1:1": no base URL; http://127.0.0.1:8081`,
		{`"http://127.0.0.1:1"`, `"http://127.0.0.1:1/api"`}:                                 `2:18: "http://127.0.0.1:1/api": a base URL is scheme, host and port; paths belong to the requests; http://127.0.0.1:1`,
		{`read: {GET: "/products/{key}?tenant`, `read: {GET: "/products/{kee}?tenant`}:       `3:24: "{kee}": unknown placeholder; one of {key}, {family}, {tenant}, {locale}, {currency}, {variant}, {token}, {session}, {seq}, {run}`,
		{`read: {GET: "/products/{key}`, `read: {GET: "/products/`}:                          "every read would ask for the same thing: {key} is missing",
		{`title: "{token}"`, `title: "x"`}:                                                   "a write must store its token, by which a read is judged: {token} is missing",
		{`answer: {token: {json: $.title}}`, ""}:                                             "where in an answer is what was written?; answer: {token: {json: $.title}}",
		{`$.title`, `"$.ti["`}:                                                               `bad JSON path`,
		{`{json: $.title}`, `{regexp: 'a(b'}`}:                                               `missing closing )`,
		{`{json: $.title}`, `{regexp: 'ab'}`}:                                                `the expression needs a group`,
		{`{json: $.title}`, `{json: $.a, header: X}`}:                                        `where is the token?`,
		{`write: {PUT: "/products/{key}?tenant={tenant}"`, `write: {PUT: "/products/{key}"`}: "the read asks by {tenant}, and the write does not",
		{`class: bounded, within: 10s`, `class: bounded`}:                                    `a bounded family needs within, above 0`,
		{`class: bounded, within: 10s`, `within: 10s`}:                                       `a bound is a promise of a class`,
		{`class: bounded, within: 10s`, `class: strong, within: 10s`}:                        `no read of a strong family is stale at all`,
		{`read: {GET: "/prices/{key}"}`, `reads: {GET: "/prices/{key}"}`}:                    `"reads": unknown field in family price; did you mean "read"?`,
		{`{POST: "/prices", body`, `{POST: "/prices", PUT: "/p", body`}:                      `a request has one method`,
		{`{POST: "/prices", body`, `{POST: "prices", body`}:                                  `a path begins with /`,
		{`{POST: "/prices", body`, `{body`}:                                                  `the write needs a method and a path`,
	} {
		require.Contains(t, good1, change[0])
		_, problems := decode(strings.Replace(good1, change[0], change[1], 1))
		require.Contains(t, problems, says, "%q for %q", change[1], change[0])
	}
	_, problems := decode("read: {GET: /x}")
	require.Contains(t, problems, "where is the service?")
}
