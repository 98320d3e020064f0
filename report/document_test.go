package report

import (
	"encoding"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const documentPage = "../docs/report.md"

// docs/report.md describes report.json field by field, in the words of the types' comments.
// go test ./report -run TestEveryFieldIsDocumented -update writes it.
func TestEveryFieldIsDocumented(t *testing.T) {
	d := document{comments: comments(t, ".", "slo")}
	d.fields(reflect.TypeFor[Report](), "")
	require.Empty(t, d.problems)
	page := d.page()
	if *update {
		require.NoError(t, os.WriteFile(documentPage, []byte(page), 0o644))
	}
	have, err := os.ReadFile(documentPage)
	require.NoError(t, err)
	require.Equal(t, string(have), page, "%s is not what the comments say: go test ./report -update writes it", documentPage)
}

// Numbers whose comment has no unit, and fields without a comment, are found.
func TestUndocumentedFieldsAreFound(t *testing.T) {
	type part struct {
		Silent string  `json:"silent"`
		Bare   float64 `json:"bare"`
	}
	d := document{comments: map[string]string{"report.part.Bare": "how large it is"}}
	d.fields(reflect.TypeFor[part](), "")
	require.Equal(t, []string{"report.part.Silent has no comment", "report.part.Bare: its comment names no unit"}, d.problems)
	for comment, unit := range map[string]string{
		"offset of its end, in s": "s", "Upper bound, in ms. It may be null.": "ms", "number of writes, in all": "count",
		"share of reads, 0..1": "0..1", "rate of loads, per second": "1/s", "the seed, an identifier": "none", "it is in sum large": "",
	} {
		require.Equal(t, unit, unitOf(comment), comment)
	}
}

// comments gives the comment of every field of the structs in directories, by "package.Type.Field".
func comments(t *testing.T, dirs ...string) map[string]string {
	out := map[string]string{}
	for _, dir := range dirs {
		paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			p, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			require.NoError(t, err)
			ast.Inspect(p, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				if s, ok := spec.Type.(*ast.StructType); ok {
					for _, f := range s.Fields.List {
						text := strings.Join(strings.Fields(f.Doc.Text()+" "+f.Comment.Text()), " ")
						for _, name := range f.Names {
							out[p.Name.Name+"."+spec.Name.Name+"."+name.Name] = text
						}
					}
				}
				return false
			})
		}
	}
	return out
}

// document is the rows of the page, in the order of the JSON form.
type document struct {
	comments map[string]string // of fields, by "package.Type.Field"
	rows     []documentRow
	problems []string
}

type documentRow struct{ path, typ, unit, meaning string }

// fields adds a row for each field of a struct at a path, and for the fields of those.
func (d *document) fields(t reflect.Type, path string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			d.fields(f.Type, path)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		at, typ, last := path+name, "", f.Type
		if last.Kind() == reflect.Pointer {
			last = last.Elem()
			if options == "" {
				typ = ", or null"
			}
		}
		if options == "omitempty" {
			typ += ", may be absent"
		}
		switch last.Kind() {
		case reflect.Slice:
			at, last = at+"[]", last.Elem()
		case reflect.Map:
			at, last = at+".*", last.Elem()
		}
		kind := jsonKind(last)
		field := t.String() + "." + f.Name
		comment := d.comments[field]
		row := documentRow{at, kind + typ, unitOf(comment), comment}
		number := kind == "number" || kind == "integer"
		switch {
		case comment == "":
			d.problems = append(d.problems, field+" has no comment")
		case number && row.unit == "":
			d.problems = append(d.problems, field+": its comment names no unit")
		case !number:
			row.unit = ""
		}
		d.rows = append(d.rows, row)
		if kind == "object" {
			d.fields(last, at+".")
		}
	}
}

// jsonKind names how values of a type are written.
func jsonKind(t reflect.Type) string {
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return "string"
	}
	switch t.Kind() {
	case reflect.Struct:
		return "object"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	}
	return "integer"
}

var units = []struct {
	at   *regexp.Regexp
	unit string
}{
	{regexp.MustCompile(`^[Nn]umber of .*`), "count"},
	{regexp.MustCompile(`, in s$`), "s"},
	{regexp.MustCompile(`, in ms$`), "ms"},
	{regexp.MustCompile(`, in bytes$`), "bytes"},
	{regexp.MustCompile(`, in the currency$`), "currency"},
	{regexp.MustCompile(`, per second$`), "1/s"},
	{regexp.MustCompile(`, 0\.\.1$`), "0..1"},
	{regexp.MustCompile(`, an identifier$`), "none"},
}

// unitOf is the unit that the first sentence of a number's comment names; "" without one. An
// identifier has none, whatever it is a number of.
func unitOf(comment string) string {
	sentence, _, _ := strings.Cut(comment, ". ")
	sentence = strings.TrimSuffix(sentence, ".")
	unit := ""
	for _, u := range units {
		if u.at.MatchString(sentence) {
			unit = u.unit
		}
	}
	return unit
}

// page writes the rows as tables: the run, a drill, and each part of a drill.
func (d *document) page() string {
	var b strings.Builder
	b.WriteString("# report.json\n\n<!-- Generated from the code: go test ./report -run TestEveryFieldIsDocumented -update -->\n\n" +
		"What a run concluded, for other tools; `cachedrill run --out DIR` writes it. Fields keep their names within\n" +
		"schema `" + Schema + "`; new ones may come. `[]` is each element of an array, `.*` each value of an object by\n" +
		"its key. Offsets count from the start of their drill. Null means that there was no data.\n")
	var sections []string
	tables := map[string]*strings.Builder{}
	for _, r := range d.rows {
		section := sectionOf(r.path, r.typ)
		if tables[section] == nil {
			sections, tables[section] = append(sections, section), &strings.Builder{}
		}
		meaning := documentLink.ReplaceAllString(r.meaning, "`$1`")
		meaning = strings.NewReplacer("<", "&lt;", "|", `\|`).Replace(strings.ToUpper(meaning[:1]) + meaning[1:])
		fmt.Fprintf(tables[section], "| `%s` | %s | %s | %s |\n", r.path, r.typ, r.unit, meaning)
	}
	for _, section := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| field | type | unit | meaning |\n| --- | --- | --- | --- |\n%s", section, tables[section])
	}
	return b.String()
}

var documentLink = regexp.MustCompile(`\[([A-Za-z.]+)\]`)

// sectionOf gives parts of a drill that have fields of their own a section each.
func sectionOf(path, typ string) string {
	rest, inDrill := strings.CutPrefix(path, "scenarios[].")
	part, _, nested := strings.Cut(rest, ".")
	switch {
	case !inDrill:
		return "The run"
	case nested || strings.HasPrefix(typ, "object"):
		return "`scenarios[]." + part + "`"
	}
	return "A drill"
}
