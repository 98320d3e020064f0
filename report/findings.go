package report

import (
	"time"
	"unique"

	"github.com/cachedrill/cachedrill/targets"
)

// findings is what the oracle concluded about the whole drill, in this package's words.
type findings struct {
	writes, acknowledged, unknownWrites   int64
	lostWrites, rollbacks                 int64
	leaks, corruptions                    int64
	dirtyReads, falseRejections, sessions int64
	unjudged, incidents                   int64
	unjudgedKeys, undecidedKeys           int64
	violations                            map[string]int64 // per class
	opportunities                         map[string]int64 // per kind of finding
	lags                                  []lag
	accusations                           []accusation
	evidence                              []Accusation
}

// lag is how long a superseded version went on being read.
type lag struct {
	family, region unique.Handle[string] // there are as many lags as writes: two words of text would outweigh the rest
	committed      time.Duration         // of the version that superseded it
	lag            time.Duration
}

// accusation is one piece of evidence, ready to be shown.
type accusation struct {
	kind string
	at   time.Duration
	text string
	op   targets.Operation // the read; zero where the accusation is not about one
	low  time.Duration     // proven staleness
}

func (f *findings) violationsTotal() int64 {
	var n int64
	for _, k := range f.violations {
		n += k
	}
	return n
}

// accused gives the text of the worst accusation of one of the kinds that ok accepts; "" when there
// is none.
func (f *findings) accused(ok func(*accusation) bool, kinds ...string) (text, region string) {
	var worst *accusation
	for i := range f.accusations {
		a := &f.accusations[i]
		for _, k := range kinds {
			if a.kind == k && ok(a) && (worst == nil || a.low > worst.low) {
				worst = a
			}
		}
	}
	if worst == nil {
		return "", ""
	}
	return worst.text, worst.op.Region
}
