//go:build race

package virtual

// raced says that the race detector watches: drills then take several times as long, and a few of
// them show what it can.
const raced = true
