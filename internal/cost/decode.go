package cost

import (
	"fmt"
	"os"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

const example = "prices: {currency: EUR, per_million_source_loads: 0.20, per_gb_hour_redis_memory: 0.02}"

// DecodePrices reads `prices`. Problems are noted on the nodes.
func DecodePrices(n strictyaml.Node) Prices {
	f := n.Fields("the prices", "currency", "per_million_requests", "per_million_source_loads", "per_gb_hour_redis_memory", "per_gb_cross_region")
	p := Prices{
		Currency:              f["currency"].String("currency"),
		PerMillionRequests:    f["per_million_requests"].Float("per_million_requests", 0),
		PerMillionSourceLoads: f["per_million_source_loads"].Float("per_million_source_loads", 0),
		PerGBHourRedisMemory:  f["per_gb_hour_redis_memory"].Float("per_gb_hour_redis_memory", 0),
		PerGBCrossRegion:      f["per_gb_cross_region"].Float("per_gb_cross_region", 0),
	}
	switch {
	case !n.IsMap():
	case p.Currency == "":
		f["currency"].Fail("", "the prices need a currency", example)
	case p.PerMillionRequests+p.PerMillionSourceLoads+p.PerGBHourRedisMemory+p.PerGBCrossRegion == 0:
		n.Fail("", "nothing has a price", example)
	}
	return p
}

// DecodeBudgets reads `budgets`. Problems are noted on the nodes.
func DecodeBudgets(n strictyaml.Node) (all []Budget) {
	var names []string
	for _, b := range BudgetNames {
		names = append(names, string(b))
	}
	f := n.Fields("the budgets", names...)
	for _, name := range BudgetNames {
		b := f[string(name)]
		if !b.Present() {
			continue
		}
		g := b.Fields("the budget "+string(name), "limit", "owner", "alert")
		o := g["owner"].Fields("the owner", "team", "contact")
		budget := Budget{Name: name, Alert: g["alert"].String("alert"), Owner: Owner{o["team"].String("team"), o["contact"].String("contact")}}
		text := g["limit"].String("the limit")
		var err error
		if budget.Limit, err = Bytes(text); g["limit"].Present() && err != nil {
			g["limit"].Fail(text, "expected the limit as an amount of bytes", BytesForm)
		}
		if b.IsMap() && !g["limit"].Present() {
			b.Fail("", "a budget needs a limit", "limit: 2GB")
		}
		if b.IsMap() && budget.Alert == "" {
			b.Fail("", "a budget needs to say whom it tells when it is exceeded", `alert: "#catalogue-oncall"`)
		}
		all = append(all, budget)
	}
	return all
}

// List is a file of prices and budgets.
type List struct {
	Prices  *Prices // nil: there are none
	Budgets []Budget
}

// Read reads a file. What is wrong with its content comes as a [*strictyaml.Error].
func Read(file string) (List, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return List{}, fmt.Errorf("reading the prices: %w", err)
	}
	return Parse(file, src)
}

// Parse reads `prices` and `budgets`; file is used in messages only.
func Parse(file string, src []byte) (l List, err error) {
	root, problems := strictyaml.Parse(src)
	if root.Present() {
		f := root.Fields("the list of prices", "prices", "budgets")
		if f["prices"].Present() {
			p := DecodePrices(f["prices"])
			l.Prices = &p
		}
		l.Budgets = DecodeBudgets(f["budgets"])
	}
	if len(problems.List) > 0 {
		return List{}, &strictyaml.Error{File: file, Problems: problems.Sorted()}
	}
	return l, nil
}
