package http

import (
	"fmt"
	"strings"

	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/targets"
)

const tokenHint = "token: {form: text, length: 40}, {form: integer, digits: 12}, {form: decimal, digits: 9, places: 2}, {form: uuid}"

// decodeToken reads integer, or {form: integer, digits: 12}.
func decodeToken(n strictyaml.Node) targets.Form {
	var f map[string]strictyaml.Node
	kind := n
	if n.IsMap() {
		f = n.Fields("the token", "form", "digits", "places", "length", "letters")
		kind = f["form"]
	}
	form := targets.Form{}
	if kind.Present() {
		word := kind.String("a form")
		switch {
		case word == "boolean" || word == "bool":
			kind.Fail(word, "a boolean has two values, and no write could be recognised by one", "write the token into another field, and answer it: "+tokenHint)
			return form
		case word == "number":
			word = "integer"
		}
		known := map[string]targets.FormKind{}
		var names []string
		for k := targets.FormText; k <= targets.FormULID; k++ {
			known[k.String()] = k
			names = append(names, k.String())
		}
		if k, ok := known[word]; ok {
			form.Kind = k
		} else {
			kind.Fail(word, "unknown form of a token", strings.Join(names, ", "))
			return form
		}
	}
	refuse := func(name, why string) {
		if f[name].Present() {
			f[name].Fail("", name+" is said of "+why, tokenHint)
		}
	}
	if form.Number() {
		refuse("length", "texts")
		refuse("letters", "texts")
		form.Digits = f["digits"].Int("digits", targets.DefaultDigits, targets.LeastDigits)
		if form.Digits > targets.MostDigits {
			f["digits"].Fail("", fmt.Sprintf("at most %d digits: no integer of 64 bits has more", targets.MostDigits), fmt.Sprintf("digits: %d", targets.MostDigits))
			form.Digits = targets.MostDigits
		}
	} else {
		refuse("digits", "numbers")
	}
	if form.Kind == targets.FormDecimal {
		form.Places = f["places"].Int("places", 2, 0)
		if form.Places >= form.Digits {
			f["places"].Fail("", "the digits are those before and behind the point, together", "{form: decimal, digits: 9, places: 2}")
			form.Places = 0
		}
	} else {
		refuse("places", "decimal numbers")
	}
	if form.Kind != targets.FormText {
		refuse("length", "texts")
		refuse("letters", "texts")
		return form
	}
	if f["length"].Present() {
		form.Length = f["length"].Int("length", 0, targets.LeastLength)
	}
	if f["letters"].Present() {
		form.Upper = f["letters"].OneOf("letters", "upper", "any") == "upper"
	}
	return form
}

const keyHint = `key: {form: uuid}, {form: integer, digits: 8}, or {pattern: "sku-{key:06d}"}`

// decodeKey reads uuid, or {form: integer, digits: 8}, or {pattern: "sku-{key:06d}"}.
func decodeKey(n strictyaml.Node) keyForm {
	var f map[string]strictyaml.Node
	kind, form := n, keyForm{}
	if n.IsMap() {
		f = n.Fields("the key", "form", "digits", "pattern")
		kind = f["form"]
	}
	if kind.Present() {
		if form.form = kind.OneOf("form of keys", keyForms...); form.form == "text" {
			form.form = ""
		}
	}
	if f["digits"].Present() {
		form.digits = f["digits"].Int("digits", 0, 1)
		switch {
		case form.form != "integer":
			f["digits"].Fail("", "digits are said of integers", keyHint)
			form.digits = 0
		case form.digits > mostDigits:
			f["digits"].Fail("", fmt.Sprintf("at most %d digits", mostDigits), "")
			form.digits = 0
		}
	}
	if f["pattern"].Present() {
		t, bad := parsePlain(f["pattern"].String("a pattern"))
		note(f["pattern"], bad, 0)
		form.pattern = t
		if bad != nil {
			return form
		}
		for _, p := range t {
			if p.name != "" && p.name != "key" || p.env != "" {
				f["pattern"].Fail("", "a pattern is of the key alone", keyHint)
				return form
			}
		}
		if !t.uses("key") {
			f["pattern"].Fail("", "every key would have the same name: {key} is missing", keyHint)
		}
	}
	return form
}
