package contract_test

import (
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/reference/contract"
	"github.com/cachedrill/cachedrill/reference/policy"
)

const file = `
version: 1
service: shop
release: 4.2
owner: {team: catalogue, contact: "#catalogue-oncall"}
incidents: docs/runbooks/cache.md
ttl_classes:
  listing: {ttl: 10s, review: 2027-03-01, why: Merchants accept ten seconds.}
families:
  product: {class: bounded, within: 10s, ttl: listing, schema: 3, vary: [tenant], fields: {title: public, suppliers: {class: internal, redact: drop}}}
exceptions:
  - {without: early-refresh, why: A load test wants to see every miss., approved: Ines, expires: 2027-01-15}
`

// A contract is read once, checked in CI, and gives a service its families and its policy.
func Example() {
	c, err := contract.Parse("cache-contract.yaml", []byte(file))
	if err != nil {
		panic(err)
	}
	for _, d := range contract.Check(c, contract.On(time.Date(2027, time.April, 1, 0, 0, 0, 0, time.UTC))) {
		fmt.Println(d)
	}

	today := contract.On(time.Date(2026, time.December, 1, 0, 0, 0, 0, time.UTC)) // a service: time.Now()
	p, err := c.Policy(policy.Recommended(), today)
	if err != nil {
		panic(err)
	}
	families := c.Cached() // for reference.Config.Families
	value, err := families[0].Redact([]byte(`{"title": "a red chair", "suppliers": ["x"]}`))
	fmt.Println(p.Controls.Has(policy.EarlyRefresh), families[0].Contract.Within, string(value), err)
	// Output:
	// 8:3: the review of TTL class listing was due on 2027-03-01; ask whether it is still right, and set the next date
	// 12:6: the exception without early-refresh expired on 2027-01-15; put the control back, or agree on it anew
	// false 10s {"title":"a red chair"} <nil>
}
