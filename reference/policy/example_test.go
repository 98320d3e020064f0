package policy_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/cachedrill/cachedrill/reference/policy"
)

// Controls are removed by name, to see what each of them is good for, or to do without one for a
// while.
func ExamplePolicy_Without() {
	p, err := policy.Recommended().Without("jitter")
	fmt.Println(p.Controls.Has(policy.Jitter), p.Controls.Has(policy.FillLease), err)
	_, err = p.Without("jiter")
	fmt.Println(err != nil)
	// Output:
	// false true <nil>
	// true
}

// The contracts of four families, and one that no cache could keep.
func ExampleFamily() {
	for _, f := range []policy.Family{
		{Class: policy.Bounded, Within: 10 * time.Second, TTL: 10 * time.Second},   // a page: at most ten seconds old
		{Class: policy.Strong, TTL: time.Minute},                                   // a price: asks the source for each read
		{Class: policy.Strong, TTL: time.Minute, ReadLease: 50 * time.Millisecond}, // rights: writes take 50 ms more, most reads ask nothing
		{Class: policy.Eventual, TTL: time.Minute, Writes: policy.WriteBehind},     // a counter: written when it is in the journal
		{Class: policy.Bounded, Within: 10 * time.Second, TTL: 60 * time.Second},   // would promise what it breaks
	} {
		err := f.Validate()
		fmt.Println(f.Class, err, errors.Is(err, policy.ErrTTL))
	}
	// Output:
	// bounded <nil> false
	// strong <nil> false
	// strong <nil> false
	// eventual <nil> false
	// bounded ttl exceeds the bound: ttl 1m0s, within 10s true
}
