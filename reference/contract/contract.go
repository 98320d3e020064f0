// Package contract is the cache contract of a service: what it caches, for how long, who answers
// for it, and what was agreed to for a while only. It is one YAML file that is checked in CI
// ([Check]), enforced at run time ([Contract.Cached], [Contract.Policy]) and rendered as the page
// that an on-call engineer reads ([Render]).
//
// docs/contract.md in the repository explains the file field by field.
package contract

import (
	"time"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/reference/policy"
)

// Contract is a whole file. Its lists are in the order of the document.
type Contract struct {
	Service    string
	Release    Release // that is being built; a rollback toggle does not outlive its own
	Owner      Owner
	Incidents  string // where the incident playbook is
	TTLClasses []TTLClass
	Ceilings   []Ceiling
	Pools      []Pool // none: every family is in the region's one Redis
	Families   []Family
	Jobs       []Job
	Exceptions []Exception
	Toggles    []Toggle
	Decisions  []Decision
}

// Pos is a position in the file: line and column, each from 1. The zero Pos is no position.
type Pos struct{ Line, Column int }

// Owner is who answers.
type Owner struct{ Team, Contact string }

// TTLClass is a time to live that several families share.
type TTLClass struct {
	Pos    Pos
	Name   string
	TTL    time.Duration
	Review Date // by when somebody asks again whether it is right
	Why    string
}

// Pool is a Redis of each region: a database of its own, or a server. What happens to it happens to
// its families only.
type Pool struct {
	Pos     Pos
	Name    string
	Default bool // of families that name no pool: the region's own Redis. One has it
	Why     string
}

// Sensitivity is how much harm a field does in the wrong hands.
type Sensitivity string

// The sensitivities. Personal and secret fields are sensitive: they must be redacted before they
// are cached, or not be cached for longer than the ceiling of their sensitivity.
const (
	Public   Sensitivity = "public"
	Internal Sensitivity = "internal"
	Personal Sensitivity = "personal"
	Secret   Sensitivity = "secret"
)

// Sensitive says whether such a field needs a redaction or a ceiling.
func (s Sensitivity) Sensitive() bool { return s == Personal || s == Secret }

// Ceiling is the longest that a value with unredacted fields of a sensitivity may be kept.
type Ceiling struct {
	Pos Pos
	For Sensitivity
	TTL time.Duration
}

// Redaction says what takes a field's place before a value enters any tier.
type Redaction string

// The redactions. A field that is not redacted has none.
const (
	None Redaction = ""
	Drop Redaction = "drop" // the field is left out
	Mask Redaction = "mask" // its value becomes "***"
)

// Field classifies one field of a family's values, which are JSON objects.
type Field struct {
	Pos         Pos
	Path        string // names with dots between: contact.email
	Sensitivity Sensitivity
	Redact      Redaction
}

// Family is one kind of key. It is wide because it has a field for each term of the YAML that
// people write.
type Family struct {
	Pos       Pos
	Name      string
	Namespace string // families of one namespace share a class, and a pool
	PoolPos   Pos
	Pool      string // of the contract's pools, "" where it has none
	Critical  bool   // must go on when what is in another pool doesn't
	ClassPos  Pos
	Class     policy.Class
	Within    time.Duration // bounded: the greatest staleness a read may have
	TTLClass  string
	TTL       time.Duration // of the class
	Writes    policy.WritePath
	ReadLease time.Duration // of a strong family; 0: every read asks the source for the current version
	Schema    key.Schema
	Owner     Owner // its own, or the service's
	Fields    []Field
}

// Kind is what a job is for.
type Kind string

// The kinds of job.
const (
	WarmUp  Kind = "warm-up" // once, when a cache starts empty
	Refresh Kind = "refresh" // again and again
)

// Job is work that loads the source without a reader waiting. It has an owner, may only do so much,
// and somebody hears of it when it fails.
type Job struct {
	Pos    Pos
	Name   string
	Kind   Kind
	Family string
	Every  time.Duration // of a refresh: between two beginnings
	Rate   float64       // of the budget: source loads a second
	For    time.Duration // of the budget: how long one run may take
	Owner  Owner
	Alert  string // whom a run tells that did not get through, or ran out of its budget
}

// Exception removes a control for a while.
type Exception struct {
	Pos      Pos
	Without  string // a control's name
	Why      string
	Approved string // by whom
	Expires  Date   // the first day on which it no longer holds
}

// Toggle is a way back to how it was before a change, kept until a release.
type Toggle struct {
	Pos   Pos
	Name  string
	What  string
	How   string
	Until Release // the first release without it
}

// Decision is an entry of the log of decisions.
type Decision struct {
	Pos  Pos
	On   Date
	What string
	Why  string
	By   string
}

// Date is a day, in UTC.
type Date struct{ time.Time }

const dateForm = "2006-01-02"

// String gives the date as the file has it.
func (d Date) String() string { return d.Format(dateForm) }

// On gives the day of a moment.
func On(t time.Time) Date { return Date{t.UTC().Truncate(24 * time.Hour)} }
