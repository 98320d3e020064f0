package cost

// Budget is how much of something may be used.
type Budget struct {
	Name  BudgetName
	Limit float64 // in the unit of what the name says
	Owner Owner   // who answers for it; may be empty
	Alert string  // whom it tells when it is exceeded
}

// Owner is who answers.
type Owner struct{ Team, Contact string }

// BudgetName says what a budget is about.
type BudgetName string

// The budgets.
const (
	// RedisMemoryBytes is about used_memory of a region's Redis.
	RedisMemoryBytes BudgetName = "redis_memory_bytes"
	// CrossRegionBytesPerMillion is about the bytes that cross regions for a million requests: a
	// figure that is the same however many processes share the traffic, and at each hour of the
	// day.
	CrossRegionBytesPerMillion BudgetName = "cross_region_bytes_per_million_requests"
)

// BudgetNames lists them.
var BudgetNames = []BudgetName{RedisMemoryBytes, CrossRegionBytesPerMillion}

// State says whether a budget is kept.
type State uint8

// The states.
const (
	Untold   State = iota // nothing tells
	Within                // at most the limit is used
	Exceeded              // more is used
)

// Judge compares what is used with the limit.
func (b Budget) Judge(used float64) State {
	if used > b.Limit {
		return Exceeded
	}
	return Within
}
