package http

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// condition is what an answer holds at one place.
type condition struct {
	at extractor
	is string // null, absent, empty, present, or the text that stands there
}

// String gives the condition as messages name it.
func (c condition) String() string { return c.at.String() + " is " + c.is }

// holds reports whether an answer is so. An answer that can't be read at the place is not: but an
// answer without a body has nothing anywhere in it.
func (c condition) holds(a *received) bool {
	if c.at.path == nil {
		text, ok, err := a.find(c.at)
		switch c.is {
		case "absent", "null":
			return err == nil && !ok
		case "empty":
			return err == nil && ok && strings.TrimSpace(text) == ""
		case "present":
			return err == nil && ok
		}
		return err == nil && ok && text == c.is
	}
	if a.blank() {
		return c.is == "absent" || c.is == "empty" && c.at.text == "$"
	}
	doc, err := a.json()
	if err != nil {
		return false
	}
	found := c.at.path.Select(doc)
	if len(found) == 0 {
		return c.is == "absent"
	}
	for _, v := range found {
		if !c.describes(v) {
			return false
		}
	}
	return true
}

// describes reports whether a value that is there is what the condition says.
func (c condition) describes(v any) bool {
	switch c.is {
	case "absent":
		return false
	case "present":
		return v != nil
	case "null":
		return v == nil
	case "empty":
		return emptyValue(v)
	}
	text, ok := scalar(v)
	return ok && text == c.is
}

func emptyValue(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v) == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// scalar gives a value of JSON as text; ok is false for null, lists and objects.
func scalar(v any) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// absences is how the answer of a read looks when there is no such thing.
type absences struct {
	codes
	contents []condition
}

// holds reports whether a good answer says that there is nothing. One that carries errors does not,
// whatever else it holds, unless the errors are what is looked at: GraphQL answers null also where
// it failed.
func (a absences) holds(got *received) bool {
	for _, c := range a.contents {
		if c.holds(got) && (!got.carriesErrors() || strings.HasPrefix(c.at.text, "$.errors")) {
			return true
		}
	}
	return false
}

// carriesErrors reports whether an answer is JSON with a list of errors at its top: the convention
// of GraphQL, which answers failures with status 200.
func (a *received) carriesErrors() bool {
	if !bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(a.body, utf8Mark)), []byte("{")) {
		return false
	}
	doc, err := a.json()
	if err != nil {
		return false
	}
	top, _ := doc.(map[string]any)
	list, _ := top["errors"].([]any)
	return len(list) > 0
}
