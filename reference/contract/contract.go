// Package contract is the cache contract of a service: what it caches, for how long, who answers for it, and what was agreed
// to for a while only. It is one YAML file that is checked in CI ([Check]), enforced at run time ([Contract.Cached],
// [Contract.Policy]) and rendered as the page that an on-call engineer reads ([Render]).
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
	Places     []Location // none: every family is in the region's one Redis
	Families   []Family
	Jobs       []Job
	Exceptions []Exception
	Toggles    []Toggle
	Decisions  []Decision
}

// Place is where something stands in the file, from 1. The zero Place is nowhere.
type Place struct{ Line, Column int }

// Owner is who answers.
type Owner struct{ Team, Contact string }

// TTLClass is a time to live that several families share.
type TTLClass struct {
	At     Place
	Name   string
	TTL    time.Duration
	Review Date // by when somebody asks again whether it is right
	Why    string
}

// Location is a Redis of each region: a database of its own, or a server. What happens to it, happens to its families only.
type Location struct {
	At      Place
	Name    string
	Default bool // of families that name no place: the region's own Redis. One has it
	Why     string
}

// Sensitivity is how much harm a field does in the wrong hands.
type Sensitivity string

// The sensitivities. Personal and secret fields are sensitive: they must be redacted before they are cached, or not be
// cached for longer than the ceiling of their sensitivity.
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
	At  Place
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
	At          Place
	Path        string // names with dots between: contact.email
	Sensitivity Sensitivity
	Redact      Redaction
}

// Family is one kind of key.
type Family struct {
	At        Place
	Name      string
	Namespace string // families of one namespace share a class, and a place
	PlaceAt   Place
	Place     string // of the contract's places, "" where it has none
	Critical  bool   // must go on when what is in another place doesn't
	ClassAt   Place
	Class     policy.Class
	Within    time.Duration // bounded: the greatest staleness a read may have
	TTLClass  string
	TTL       time.Duration // of the class
	Writes    policy.WritePath
	Lease     time.Duration // of a strong family; 0: every read asks the source for the current version
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

// Job is work that loads the source without a reader waiting. It has an owner, may only do so much, and somebody hears
// of it when it fails.
type Job struct {
	At     Place
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
	At       Place
	Without  string // a control's name
	Why      string
	Approved string // by whom
	Expires  Date   // the first day on which it no longer holds
}

// Toggle is a way back to how it was before a change, kept until a release.
type Toggle struct {
	At    Place
	Name  string
	What  string
	How   string
	Until Release // the first release without it
}

// Decision is an entry of the log of decisions.
type Decision struct {
	At   Place
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
