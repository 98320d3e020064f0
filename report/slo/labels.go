package slo

import "slices"

// Group says when an objective must hold.
type Group string

// The groups of objectives. Under always, performance is judged from the first moment of steady to
// the end of recovery, and safety over the whole drill, warmup and audit included.
const (
	GroupSteady   Group = "steady"
	GroupFault    Group = "fault"
	GroupRecovery Group = "recovery"
	GroupAlways   Group = "always"
)

// Groups lists the groups in the order of a drill.
func Groups() []Group { return []Group{GroupSteady, GroupFault, GroupRecovery, GroupAlways} }

func groupNames(gs []Group) []string {
	out := make([]string, len(gs))
	for i, g := range gs {
		out[i] = string(g)
	}
	return out
}

// Labels are the coordinates of an operation, a read or a load. An empty field of a selection
// matches everything.
type Labels struct {
	Endpoint string `json:"endpoint,omitempty"` // kind and family with a space between: "read product"
	Family   string `json:"family,omitempty"`   // family of keys
	Class    string `json:"class,omitempty"`    // consistency class of the family
	Tenant   string `json:"tenant,omitempty"`   // tenant of the key
	Region   string `json:"region,omitempty"`   // region of the client
	Tier     string `json:"tier,omitempty"`     // tier that answered
	Kind     string `json:"kind,omitempty"`     // kind of operation: read, write or delete
}

func labelsOf(m map[string]string) Labels {
	return Labels{
		Endpoint: m["endpoint"], Family: m["family"], Class: m["class"], Tenant: m["tenant"],
		Region: m["region"], Tier: m["tier"], Kind: m["kind"],
	}
}

// Selects says whether something at the given coordinates is part of the selection l.
func (l *Labels) Selects(at *Labels) bool {
	return (l.Endpoint == "" || l.Endpoint == at.Endpoint) &&
		(l.Family == "" || l.Family == at.Family) &&
		(l.Class == "" || l.Class == at.Class) &&
		(l.Tenant == "" || l.Tenant == at.Tenant) &&
		(l.Region == "" || l.Region == at.Region) &&
		(l.Tier == "" || l.Tier == at.Tier) &&
		(l.Kind == "" || l.Kind == at.Kind)
}

// The sets of labels that metrics take.
var (
	perOperation = []string{"endpoint", "family", "class", "tenant", "region", "kind"}
	perAnswer    = []string{"endpoint", "family", "class", "tenant", "region", "tier", "kind"}
	perRead      = []string{"family", "class", "tenant", "region", "tier"}
	perCacheRead = []string{"family", "class", "tenant", "region"}
	perLoad      = []string{"family", "class", "tenant", "region"}
	perLag       = []string{"family", "class", "tier"}
	perRegion    = []string{"region"}

	everyLabel = perAnswer
)

// Values of the labels that no scenario can add to, as targets name them.
var (
	tierValues = []string{"l1", "l2", "source", "bypass"}
	cacheTiers = []string{"l1", "l2"}
	kindValues = []string{"read", "write", "delete"}
)

// fixedValues lists the values that a label of a metric may have; nil when scenarios name them.
func fixedValues(m *Metric, label string) []string {
	switch {
	case label == "tier" && m.OfTier:
		return cacheTiers
	case label == "tier":
		return tierValues
	case label == "kind":
		return kindValues
	}
	return nil
}

// anyGroup, onlyRecovery and onlyAlways are the groups that metrics may stand in.
var (
	anyGroup     = Groups()
	onlyRecovery = []Group{GroupRecovery}
	onlyAlways   = []Group{GroupAlways}
)

func (m *Metric) mayStandIn(g Group) bool { return slices.Contains(m.Groups, g) }
