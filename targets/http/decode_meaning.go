package http

import (
	"fmt"
	"strconv"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

// decodeMeanings reads what the statuses and contents of a family's answers mean.
func decodeMeanings(f map[string]strictyaml.Node, fam *Family) {
	if n := f["absent"]; n.Present() {
		fam.Absent = decodeAbsent(n)
	}
	for _, c := range []struct {
		name  string
		codes *codes
	}{{"shed", &fam.Shed}, {"rejected", &fam.Rejected}, {"accepted", &fam.Accepted}} {
		if f[c.name].Present() {
			*c.codes = decodeCodes(f[c.name])
		}
	}
	if n := f["done"]; n.Present() {
		fam.Done = nil
		for _, item := range oneOrMore(n) {
			if c, ok := decodeCondition(item, signOfDone); ok {
				fam.Done = append(fam.Done, c)
			}
		}
	}
	checkMeanings(f, fam)
}

// checkMeanings refuses statuses that mean two things.
func checkMeanings(f map[string]strictyaml.Node, fam *Family) {
	for _, s := range fam.Absent.codes {
		if good(s) && (s != 204 && s != 205 || fam.Answer.token.header != "") {
			f["absent"].Fail(strconv.Itoa(s), fmt.Sprintf("%d is the status of answers that hold a value: it can't mean that there is none", s),
				"absent: {json: $.item, is: null}, what the answer holds then")
		}
	}
	for name, c := range map[string]codes{"shed": fam.Shed, "rejected": fam.Rejected} {
		for _, s := range c {
			if good(s) {
				f[name].Fail(strconv.Itoa(s), fmt.Sprintf("%d is the status of what was done: it can't promise that nothing was", s), "done: {json: $.errors, is: absent}")
			}
		}
	}
	for _, s := range fam.Accepted {
		if s >= 400 || s < 200 {
			f["accepted"].Fail(strconv.Itoa(s), fmt.Sprintf("%d accepts nothing", s), "accepted: [202]")
		}
	}
	for _, pair := range [][2]string{{"absent", "shed"}, {"shed", "rejected"}, {"absent", "accepted"}} {
		of := map[string]codes{"absent": fam.Absent.codes, "shed": fam.Shed, "rejected": fam.Rejected, "accepted": fam.Accepted}
		for _, s := range of[pair[1]] {
			at := f[pair[1]]
			if !at.Present() {
				at = f[pair[0]]
			}
			if of[pair[0]].has(s) {
				at.Fail(strconv.Itoa(s), fmt.Sprintf("%d can't mean both %s and %s", s, pair[0], pair[1]), "each status in one list")
			}
		}
	}
}

// What conditions are about, as messages name it.
const (
	signOfDone    = "sign of what was done"
	signOfAbsence = "sign of absence"
)

// oneOrMore gives the items of a list, or what is there instead of one.
func oneOrMore(n strictyaml.Node) []strictyaml.Node {
	if !n.IsList() {
		return []strictyaml.Node{n}
	}
	return n.List("conditions")
}

// decodeAbsent reads statuses, contents, or a list of both.
func decodeAbsent(n strictyaml.Node) (out absences) {
	out.codes = codes{}
	for _, item := range oneOrMore(n) {
		if !item.IsMap() {
			if status, ok := decodeCode(item); ok {
				out.codes = append(out.codes, status)
			}
			continue
		}
		if c, ok := decodeCondition(item, signOfAbsence); ok {
			out.contents = append(out.contents, c)
		}
	}
	return out
}

// decodeCondition reads {json: $.data.item, is: null}.
func decodeCondition(n strictyaml.Node, what string) (condition, bool) {
	f := n.Fields("the "+what, "json", "header", "regexp", "is")
	c := condition{at: extractorOf(n, f, what)}
	for _, e := range n.Entries("the " + what) {
		switch {
		case e.Name != "is":
		case e.Value.Present():
			c.is = e.Value.String("what is there")
		default: // as YAML has it
			c.is = "null"
		}
	}
	if c.is == "" {
		n.Fail("", "what is there then?", "is: null, absent, empty, present, or the text that stands there")
	}
	return c, c.is != "" && c.at.set()
}
