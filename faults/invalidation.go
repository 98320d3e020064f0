package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/internal/pause"
	"github.com/cachedrill/cachedrill/internal/thousands"
)

var delayDefinition = Definition{
	Name:    "invalidation.delay",
	Summary: "invalidation events are held, then delivered",
	Params: []Param{
		{Name: "by", Type: "duration", Required: true, Doc: "how long each event is held"},
		{Name: "for", Type: "duration", Required: true, Doc: "how long the fault lasts; what is held then is delivered at once"},
		{Name: "region", Type: "region or list", Doc: "whose relay; all when absent"},
	},
	Evidence: "the relays count events that were held, and the slowest was late by at least half of what the delay could do",
	Heals:    "what is held is delivered at once, and none may be held any more",
	Needs:    []Capability{HasRelays},
	Example:  "- invalidation.delay: {by: 2s, for: 3s}",
	Decode: func(p *Params) Fault {
		return Delay{By: p.Positive("by", 0), For: p.Positive("for", 0), Regions: p.Regions("region")}
	},
}

// Delay makes the relays of some regions hold every invalidation event for a while.
//
// Evidence: events were held, and the slowest of a relay that held some came at least half as late
// as the delay could make it (which is By, or the time until the heal when that is shorter). Less
// than that is what a relay does on a bad day, and a delay that no event met did not happen. It
// names the relays that held events, and no others: where nothing is written, there is nothing to
// hold.
type Delay struct {
	By      time.Duration // above 0; how long each event is held
	For     time.Duration // above 0; how long the fault lasts; what is held then is delivered at once
	Regions []string      // none = all
}

const (
	delayHealLimit = 10 * time.Second // for held events to be delivered
	drainPoll      = 5 * time.Millisecond
)

// String gives the fault as YAML shows it.
func (f Delay) String() string {
	return render("invalidation.delay", [2]string{"by", f.By.String()}, [2]string{"for", f.For.String()},
		[2]string{"region", oneOrList(f.Regions)})
}

// Lasts implements [Fault].
func (f Delay) Lasts() time.Duration { return f.For }

// Inject delays the relays; it waits for nothing.
func (f Delay) Inject(ctx context.Context, site Site) (Injected, error) {
	if f.By <= 0 || f.For <= 0 {
		return Injected{}, fmt.Errorf("%s: by and for must be above 0", f)
	}
	regions, err := pick(site.Relays, "invalidation relay", f.Regions)
	if err != nil {
		return Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	if err := ctx.Err(); err != nil {
		return Injected{}, fmt.Errorf("%s: %w", f, err)
	}
	where := make([]string, len(regions))
	for i, r := range regions {
		where[i] = "relay@" + r
	}
	step := undo.Nothing("the relays were the process's own, and ended with it")
	return site.Record(f, where, step, func(*undo.Entry) (Injected, error) {
		before := make(map[string]Delivery, len(regions))
		for _, r := range regions {
			before[r] = site.Relays[r].Delivered()
		}
		began := time.Now()
		for _, r := range regions {
			site.Relays[r].Delay(f.By)
		}
		heal := func(ctx context.Context) (string, error) { return f.heal(ctx, site, regions, before, began) }
		return Injected{Began: began, Hold: f.For, Heal: healOnce(delayHealLimit, heal)}, nil
	})
}

func (f Delay) heal(ctx context.Context, site Site, regions []string, before map[string]Delivery, began time.Time) (string, error) {
	lasted := time.Since(began)
	var held int64
	var worst time.Duration // of the relays that held events
	var holders []string
	lag := make(map[string]time.Duration, len(regions))
	let := make(map[string]int64, len(regions)) // how many events a relay must have delivered to hold none that was delayed
	for _, r := range regions {
		// Delay may start the relay's largest lag anew: what was seen under the fault is read
		// first.
		lag[r] = site.Relays[r].Delivered().MaxLag
		site.Relays[r].Delay(0)
		d := site.Relays[r].Delivered()
		let[r] = d.Events + d.Held
	}
	for _, r := range regions {
		d, err := drained(ctx, site.Relays[r], let[r])
		if err != nil {
			return "", fmt.Errorf("%s: relay@%s still holds %s events: %w", f, r, thousands.Group(d.Held), err)
		}
		if n := d.Delayed - before[r].Delayed; n > 0 {
			held += n
			holders = append(holders, r)
			worst = max(worst, lag[r], d.MaxLag)
		}
	}
	names := strings.Join(holders, ", ")
	switch {
	case held == 0, worst < min(f.By, lasted)/2:
		return "", nil
	}
	return fmt.Sprintf("%s events held by the relays of %s, the slowest delivered %s after its commit; all delivered by the heal",
		thousands.Group(held), names, worst.Round(time.Millisecond)), nil
}

// drained waits until the relay has delivered so many events, or holds none. On a busy relay the
// next event waits already when the last one is delivered.
func drained(ctx context.Context, r Relay, events int64) (Delivery, error) {
	for {
		d := r.Delivered()
		if d.Held == 0 || d.Events >= events {
			return d, nil
		}
		if err := pause.For(ctx, drainPoll); err != nil {
			return d, err
		}
	}
}
