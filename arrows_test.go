package cachedrill_test

import (
	"math/bits"
	"slices"
)

// arrows are a package's files as a graph: from the file that uses a name to the file that declares
// it, with one of the names.
type arrows map[[2]string]string

// mostExact is how many files in circles with each other are ordered exactly; the time doubles with
// each.
const mostExact = 20

// arrange orders files so that as few arrows as possible run back up: files in no circle as their
// arrows say, those in a circle by trying all orders (larger ones: until no single move gains
// anything).
func (a arrows) arrange(files []string) (order []string) {
	for _, circle := range a.circles(files) {
		if len(circle) > mostExact {
			order = append(order, a.improve(circle)...)
		} else {
			order = append(order, a.exact(circle)...)
		}
	}
	return order
}

// back lists the arrows that run against an order.
func (a arrows) back(order []string) (back [][2]string) {
	at := map[string]int{}
	for i, f := range order {
		at[f] = i
	}
	for arrow := range a {
		if at[arrow[0]] > at[arrow[1]] {
			back = append(back, arrow)
		}
	}
	slices.SortFunc(back, func(x, y [2]string) int { return slices.Compare(x[:], y[:]) })
	return back
}

// circles groups the files that reach each other (Tarjan's strongly connected components); no arrow
// leads from a group to an earlier one.
func (a arrows) circles(files []string) (groups [][]string) {
	to := map[string][]string{}
	for arrow := range a {
		to[arrow[0]] = append(to[arrow[0]], arrow[1])
	}
	index, low := map[string]int{}, map[string]int{}
	var stack []string
	var visit func(string)
	visit = func(f string) {
		index[f] = len(index) + 1
		low[f] = index[f]
		stack = append(stack, f)
		for _, g := range slices.Sorted(slices.Values(to[f])) {
			if index[g] == 0 {
				visit(g)
				low[f] = min(low[f], low[g])
			} else if slices.Contains(stack, g) {
				low[f] = min(low[f], index[g])
			}
		}
		if low[f] == index[f] {
			start := slices.Index(stack, f)
			groups = append(groups, slices.Clone(stack[start:]))
			stack = stack[:start]
		}
	}
	for _, f := range files {
		if index[f] == 0 {
			visit(f)
		}
	}
	slices.Reverse(groups)
	return groups
}

// exact finds the best order of a circle: fewest[s] is how few arrows run back when the files in
// the set s come first, and last[s] which of them then stands last.
func (a arrows) exact(files []string) []string {
	n := len(files)
	to := make([]uint32, n) // by file: the set of those that its arrows lead to
	for i, f := range files {
		for j, g := range files {
			if _, ok := a[[2]string{f, g}]; ok {
				to[i] |= 1 << j
			}
		}
	}
	fewest, last := make([]int16, 1<<n), make([]int8, 1<<n)
	for s := uint32(1); s < 1<<n; s++ {
		fewest[s] = 1 << 14
		for i := range n {
			if s&(1<<i) == 0 {
				continue
			}
			before := s &^ (1 << i)
			if c := fewest[before] + int16(bits.OnesCount32(to[i]&before)); c < fewest[s] {
				fewest[s], last[s] = c, int8(i)
			}
		}
	}
	order := make([]string, n)
	for s := uint32(1<<n - 1); s != 0; s &^= 1 << last[s] {
		order[bits.OnesCount32(s)-1] = files[last[s]]
	}
	return order
}

// improve moves one file after the other to where fewest arrows run back, until no move gains
// anything.
func (a arrows) improve(files []string) []string {
	order := slices.Clone(files)
	for fewest := a.within(order); ; {
		start := fewest
		for _, f := range files {
			at := slices.Index(order, f)
			rest := slices.Delete(slices.Clone(order), at, at+1)
			for i := range len(order) {
				moved := slices.Insert(slices.Clone(rest), i, f)
				if n := a.within(moved); n < fewest {
					order, fewest = moved, n
				}
			}
		}
		if fewest == start {
			return order
		}
	}
}

// within counts the arrows between the files of an order that run against it.
func (a arrows) within(order []string) (n int) {
	for i, f := range order {
		for _, earlier := range order[:i] {
			if _, ok := a[[2]string{f, earlier}]; ok {
				n++
			}
		}
	}
	return n
}
