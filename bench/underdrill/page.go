package main

import (
	"fmt"
	"strings"
	"time"
)

// of are the results of a cache's drills in one situation, by seed.
func (r *results) of(c cacheUnder, processes int, s string) (all []result) {
	for seed := 1; seed <= max(r.Seeds, 3); seed++ {
		if got, ok := r.Rows[sitting{c, processes, s, uint64(seed)}.name()]; ok {
			all = append(all, got)
		}
	}
	return all
}

// verdict is the cell of those results: how many of how many.
func verdict(all []result) string {
	if len(all) == 0 {
		return "not run"
	}
	n := map[string]int{}
	for _, r := range all {
		n[r.Outcome]++
	}
	var parts []string
	for _, o := range []string{"fail", "unknown", "pass"} {
		word := o
		if o == "fail" {
			word = "**fail**"
		}
		if n[o] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d of %d", word, n[o], len(all)))
		}
	}
	return strings.Join(parts, ", ")
}

// asked is what the drill asks of a cache.
func asked(c cacheUnder, processes int, s string) string {
	if d := c.within(processes, s); d > 0 {
		return fmt.Sprintf("at most %s old", d)
	}
	return "the next read sees the write"
}

const intro = `# Real caches under drill

<!-- Written by make underdrill -->

What a verdict is worth shows at caches that everybody knows. Here are some, at the versions that the package
registries served, each in a small service of HTTP that uses it as its documentation shows, and drilled as a
stranger: cachedrill knows how to read and to write a key, where to read past the cache, and nothing else.

- **The service**: a read goes through the cache; a write goes to the source, then the copy is dropped by the
  documented call, and then the write is answered. A write whose invalidation failed is answered with an error.
- **The source** is [` + "`cachedrill origin`" + `](origin.md): rows in memory, with 20 ms (exponential) for each, as a
  database would take. A load carries what was true when it was taken up. So a load may be overtaken by a write: that
  window is small, and every real source has it.
- **The load**: 150/s over 40 keys, 15% writes, two writes of one key at once every second. 7 s each.
- **Copies live** 2 s (memory before Redis: 1 s), far shorter than anywhere else, so that a drill of seconds sees
  them end. Where a stale copy is kept, it is kept for as long as *your* TTL.
- **Calm**: nothing is broken. **Cut**: Redis can't be reached for 2 s (its bytes disappear); of caches without
  Redis it is the source. **Expiry**: all keys in Redis expire at one moment; in memory, which cannot be reached
  from outside, and in proxies, copies live 1 s and were made at the same time.

What is asked is either that the next read after an answered write sees it (*strong*), which is what one expects of
"write, then delete"; or, where copies are in the memory of several processes, or Cache-Control decides, that no
answer is older than a bound: how long a copy lives, and half a second. Most of them promise no more than that bound,
or nothing. **A fail here is not a defect of the library**: it says that this use of it does not give what was asked
for. Availability is not asked for: the share of errors while something was cut is shown as it was.

`

func (r *results) page(versions map[string]string) string {
	var b strings.Builder
	b.WriteString(intro)
	b.WriteString(wrap(fmt.Sprintf("Run of %s: %d drills of %d, %s in all, %d at a time on two cores that were shared with other work. A drill that "+
		"ended unknown was repeated once (`--retry-unknown 1`).", r.Began.Format(time.DateOnly), len(r.Rows), len(caches)*2*len(situations)*r.Seeds, r.Took, max(r.Lanes, 1)), 110))
	b.WriteString("\n")
	b.WriteString("| cache | version | processes | asked | calm | cut | expiry |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, c := range caches {
		for processes := 1; processes <= 2; processes++ {
			fmt.Fprintf(&b, "| [%s](#%s) | %s | %d | %s |", c.title, c.name, versions[c.name], processes, asked(c, processes, calm))
			for _, s := range situations {
				fmt.Fprintf(&b, " %s |", verdict(r.of(c, processes, s)))
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n`make underdrill` repeats it; `go run . -only otter,sturdyc -seeds 1` in bench/underdrill a part. Not drilled: gocache, which the Go\n" +
		"module proxy did not serve. The packages in Python, nginx and Varnish are Debian's.\n")
	for _, c := range caches {
		r.section(&b, c)
	}
	return b.String()
}

// section tells of one cache what it was asked, what its documentation says, and what was seen.
func (r *results) section(b *strings.Builder, c cacheUnder) {
	fmt.Fprintf(b, "\n<a id=%q></a>\n\n## %s\n\n", c.name, c.title)
	for _, line := range []string{
		"**Used**: " + c.used, fmt.Sprintf("**Its documentation**: %s [Source](%s)", c.says, c.link), "**To configure it away**: " + c.away,
	} {
		b.WriteString(wrap("- "+line, 110))
	}
	b.WriteString("\n| processes | situation | asked | verdict | stale reads, longest | errors while cut | loads of a key at once | first evidence |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for processes := 1; processes <= 2; processes++ {
		for _, s := range situations {
			all := r.of(c, processes, s)
			if len(all) == 0 {
				fmt.Fprintf(b, "| %d | %s | %s | not run | | | | |\n", processes, s, asked(c, processes, s))
				continue
			}
			var stale, widest int
			var worst, errors float64
			evidence := ""
			for _, got := range all {
				stale, widest = stale+got.Stale, max(widest, got.Widest)
				worst, errors = max(worst, got.Worst), max(errors, got.Errors)
				if evidence == "" && got.Outcome != "pass" {
					evidence = strings.TrimSpace(fmt.Sprintf("`%s` %s", got.Objective, got.Evidence))
					evidence = strings.TrimPrefix(evidence, "`` ")
				}
			}
			away := ""
			if s == cut {
				away = fmt.Sprintf("%.0f%%", 100*errors)
			}
			seen := "none"
			if stale > 0 {
				seen = fmt.Sprintf("%d, %.0f ms", stale, worst)
			}
			fmt.Fprintf(b, "| %d | %s | %s | %s | %s | %s | %d | %s |\n", processes, s, asked(c, processes, s), verdict(all), seen, away, widest,
				strings.NewReplacer("|", `\|`, "\n", " ").Replace(evidence))
		}
	}
}

// wrap breaks a line at spaces; what follows a list's dash is indented as it is.
func wrap(line string, columns int) string {
	indent := ""
	if strings.HasPrefix(line, "- ") {
		indent = "  "
	}
	var b strings.Builder
	n := 0
	for i, word := range strings.Fields(line) {
		switch {
		case i == 0:
		case n+1+len(word) > columns:
			b.WriteString("\n" + indent)
			n = len(indent)
		default:
			b.WriteString(" ")
			n++
		}
		b.WriteString(word)
		n += len(word)
	}
	return b.String() + "\n"
}
