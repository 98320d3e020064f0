//go:build race

package reference

// raced: the race detector watches, and takes ten times as long, and a hundred times the memory for
// many short lives.
const raced = true
