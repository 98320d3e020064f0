package key_test

import (
	"errors"
	"fmt"

	"github.com/cachedrill/cachedrill/reference/key"
)

// Whatever alters the value is part of its key. What is missing, or too much, is an error: such a
// value would be shared by readers who must not share it, or be cached twice.
func ExampleSchema_Build() {
	s := key.Schema{Family: "product", Version: 3, Vary: []key.Dimension{key.Tenant, key.Locale}}
	fmt.Println(s.Build(key.Name{Family: "product", ID: "17", Tenant: "acme", Locale: "en"}))
	fmt.Println(s.Build(key.Name{Family: "product", ID: "a:b", Tenant: "acme", Locale: "en"}))
	_, err := s.Build(key.Name{Family: "product", ID: "17", Tenant: "acme"})
	fmt.Println(err, errors.Is(err, key.ErrName))
	_, err = s.Build(key.Name{Family: "product", ID: "17", Tenant: "acme", Locale: "en", Currency: "EUR"})
	fmt.Println(err)
	// Output:
	// tenant:acme:product:17:v3:locale:en <nil>
	// tenant:acme:product:a%3Ab:v3:locale:en <nil>
	// key of family product: locale is missing true
	// key of family product: it does not vary by currency, but "EUR" was given
}
