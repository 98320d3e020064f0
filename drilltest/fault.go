package drilltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cachedrill/cachedrill/faults"
)

// Fault breaks something, and puts it back. It may be anything that Go can do: close a connection,
// stop a miniredis, make a mock fail.
type Fault struct {
	Name string

	// Inject breaks it. heal puts it back and gives the evidence that the fault bit: in words, what
	// was seen broken, through another channel than the fault's own, such as a count of calls that
	// failed. Without evidence it is unknown what the drill has shown, and it is unknown. heal is
	// called on every way out, with a live context, and again if it failed. With an error nothing
	// must be left broken.
	Inject func(ctx context.Context) (heal func(ctx context.Context) (evidence string, err error), err error)

	For     time.Duration // from injection to heal; 0: over at once, as when a cache is emptied, and heal only tells the evidence
	At      time.Duration // when to inject, from the start of the fault phase
	Observe time.Duration // for how long the fault phase goes on at least, from the injection; 0: as long as it goes on anyway
}

func (f *Fault) check() error {
	switch {
	case f.Name == "":
		return errors.New(`it needs a name; Name: "redis gone"`)
	case f.Inject == nil:
		return errors.New("it lacks Inject: nothing would be broken; leave Faults empty for a drill without faults")
	case f.For < 0 || f.At < 0 || f.Observe < 0:
		return errors.New("the lengths For, At and Observe are 0 or more")
	}
	return nil
}

func (f *Fault) planned() faults.Planned {
	return faults.Planned{Fault: programmed{f}, At: f.At, Observe: f.Observe}
}

// Bounds of what an injection and a heal may take.
const (
	injectLimit = 10 * time.Second
	healLimit   = 20 * time.Second
)

// programmed is a [Fault] among the faults of a drill.
type programmed struct{ of *Fault }

// String implements [faults.Fault].
func (p programmed) String() string { return p.of.Name }

// Lasts implements [faults.Fault].
func (p programmed) Lasts() time.Duration { return p.of.For }

// Inject implements [faults.Fault].
func (p programmed) Inject(ctx context.Context, site faults.Site) (faults.Injected, error) {
	if site.Inert() {
		heal := func(context.Context) (string, error) { return "not injected", nil }
		return faults.Injected{Began: time.Now(), Hold: p.of.For, Heal: heal}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, injectLimit)
	defer cancel()
	began := time.Now()
	heal, err := p.of.Inject(ctx)
	switch {
	case err != nil:
		return faults.Injected{}, err
	case heal == nil:
		return faults.Injected{}, errors.New("injecting gave no heal, which at least says what proves that the fault bit")
	}
	var mu sync.Mutex
	healed, evidence := false, ""
	return faults.Injected{Began: began, Hold: p.of.For, Heal: func(ctx context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if healed {
			return evidence, nil
		}
		ctx, cancel := context.WithTimeout(ctx, healLimit)
		defer cancel()
		text, err := heal(ctx)
		if err != nil {
			return "", fmt.Errorf("healing: %w", err)
		}
		healed, evidence = true, text
		return text, nil
	}}, nil
}
