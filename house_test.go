package cachedrill_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// The limits of the house. A package beyond the first two holds two ideas: split it.
const (
	mostFiles   = 22   // non-test files of a package
	mostBack    = 0.15 // of the arrows between a package's files, those against the order that suits them best; one always may
	mostFields  = 15   // fields of a struct whose comment does not say "wide because ..."
	mostIdiom   = 100  // words of the private idiom in all Go files together
	mostColumns = 100  // of a comment line; a tab counts four
)

const showFigures = "\n\nThe figures of every package, its best order of files, and the arrows against it:\n\tgo test -count=1 -v -run TestFigures .\n\n"

// room is one package as the rules look at it.
type room struct {
	name   string
	files  []string
	arrows arrows
	order  []string    // of the files, with as few arrows back up as there can be
	back   [][2]string // those arrows
	wide   []string    // structs with too many fields and no reason
}

// most is how many arrows may run back up.
func (r room) most() int { return max(1, int(mostBack*float64(len(r.arrows)))) }

// rooms are all packages, type-checked once for all tests.
var rooms = sync.OnceValues(loadRooms)

func loadRooms() ([]room, error) {
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing packages: %w", err)
	}
	type listed struct {
		ImportPath, Export, Dir string
		GoFiles                 []string
	}
	exports := map[string]string{}
	var ours []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			return nil, fmt.Errorf("reading the list of packages: %w", err)
		}
		exports[p.ImportPath] = p.Export
		if p.ImportPath == module || strings.HasPrefix(p.ImportPath, module+"/") {
			ours = append(ours, p)
		}
	}
	files := token.NewFileSet()
	imports := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var all []room
	for _, p := range ours {
		r := room{name: strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/"), files: p.GoFiles, arrows: arrows{}}
		if err := r.look(files, imports, p.ImportPath, p.Dir); err != nil {
			return nil, err
		}
		r.order = r.arrows.arrange(r.files)
		r.back = r.arrows.back(r.order)
		all = append(all, r)
	}
	return all, nil
}

// look type-checks the package, and draws an arrow for every function, method, type, variable or
// constant that one file takes from another.
func (r *room) look(files *token.FileSet, imports types.Importer, path, dir string) error {
	var parsed []*ast.File
	for _, name := range r.files {
		f, err := parser.ParseFile(files, filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			return err
		}
		parsed = append(parsed, f)
		r.wide = append(r.wide, wideStructs(f)...)
	}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	pkg, err := (&types.Config{Importer: imports}).Check(path, files, parsed, &info)
	if err != nil {
		return fmt.Errorf("checking %s: %w", path, err)
	}
	for ident, o := range info.Uses {
		f, isFunc := o.(*types.Func)
		if isFunc {
			o = f.Origin() // of a generic type's method
		}
		if o.Pkg() != pkg || o.Parent() != pkg.Scope() && !isFunc {
			continue
		}
		from, to := filepath.Base(files.Position(ident.Pos()).Filename), filepath.Base(files.Position(o.Pos()).Filename)
		arrow := [2]string{from, to}
		if name, known := r.arrows[arrow]; from != to && (!known || ident.Name < name) {
			r.arrows[arrow] = ident.Name
		}
	}
	return nil
}

// wideStructs lists the structs of a file that have too many fields and no reason.
func wideStructs(f *ast.File) (wide []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		g, ok := n.(*ast.GenDecl)
		if !ok {
			return true
		}
		for _, s := range g.Specs {
			t, ok := s.(*ast.TypeSpec)
			if !ok {
				continue
			}
			st, ok := t.Type.(*ast.StructType)
			if !ok {
				continue
			}
			reason := strings.Join(strings.Fields(g.Doc.Text()+" "+t.Doc.Text()), " ")
			if n := st.Fields.NumFields(); n > mostFields && !strings.Contains(strings.ToLower(reason), "wide because ") {
				wide = append(wide, fmt.Sprintf("%s has %d fields", t.Name.Name, n))
			}
		}
		return true
	})
	return wide
}

// TestFigures shows where each package stands.
func TestFigures(t *testing.T) {
	all, err := rooms()
	require.NoError(t, err)
	for _, r := range all {
		t.Logf("%-28s %2d files, %3d arrows, %2d back up (%d may); wide: %s", r.name, len(r.files), len(r.arrows), len(r.back), r.most(), strings.Join(r.wide, ", "))
		if len(r.back) > r.most() {
			t.Logf("    order: %s", strings.Join(r.order, " "))
			for _, b := range r.back {
				t.Logf("    back up: %s uses %s of %s", b[0], r.arrows[b], b[1])
			}
		}
	}
	n, perFile := idiom(t)
	t.Logf("the words nobody, told, said, whoever: %d times\n%s", n, perFile)
	wide := wideComments(t)
	t.Logf("%d comment lines are wider than %d columns", len(wide), mostColumns)
}

func TestPackagesHoldOneIdea(t *testing.T) {
	all, err := rooms()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for _, r := range all {
		if n := len(r.files); n > mostFiles {
			t.Errorf("package %s has %d files, more than %d%s", r.name, n, mostFiles, showFigures)
		}
		if n := len(r.back); n > r.most() {
			t.Errorf("in package %s %d of %d arrows between files run back up, more than %d%s", r.name, n, len(r.arrows), r.most(), showFigures)
		}
		if wide := strings.Join(r.wide, ", "); wide != "" {
			t.Errorf("package %s: %s, more than %d; split the struct, or say in its comment that it is \"wide because ...\"%s", r.name, wide, mostFields, showFigures)
		}
	}
}

// sources calls f with every Go file of ours, tests included.
func sources(t *testing.T, f func(path string, text []byte)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			f(path, text)
		}
		return err
	}))
}

var idiomWords = regexp.MustCompile(`(?i)\b(nobody|told|said|whoever)\b`)

// idiom counts the words that plain sentences do without.
func idiom(t *testing.T) (n int, perFile string) {
	var b strings.Builder
	sources(t, func(path string, text []byte) {
		if m := len(idiomWords.FindAll(text, -1)); m > 0 {
			n += m
			fmt.Fprintf(&b, "    %3d %s\n", m, path)
		}
	})
	return n, b.String()
}

func TestSentencesArePlain(t *testing.T) {
	n, _ := idiom(t)
	require.LessOrEqual(t, n, mostIdiom, "the words nobody, told, said and whoever hide who does what: name the subject%s", showFigures)
}

func wideComments(t *testing.T) (wide []string) {
	sources(t, func(path string, text []byte) {
		at, output := 0, false // what an example prints stands as it is
		for line := range strings.Lines(string(text)) {
			at++
			line = strings.TrimSuffix(line, "\n")
			comment := strings.HasPrefix(strings.TrimLeft(line, "\t"), "// ")
			output = comment && (output || strings.HasSuffix(line, "// Output:"))
			if comment && !output && utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")) > mostColumns {
				wide = append(wide, fmt.Sprintf("%s:%d", path, at))
			}
		}
	})
	return wide
}

func TestCommentsAreWrapped(t *testing.T) {
	wide := wideComments(t)
	if len(wide) > 0 {
		t.Errorf("%d comment lines are wider than %d columns:\n%s", len(wide), mostColumns, strings.Join(wide, "\n"))
	}
}
