package cachedrill_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// verbs are what [fmt] replaces in a format.
var verbs = regexp.MustCompile(`%[-+# 0]*(\d+|\*)?(\.\d+)?[a-zA-Z%]`)

// leastFragment is the shortest piece of a reason that is looked for in the page, in bytes.
const leastFragment = 12

// Every reason that a verdict can give for being unknown is quoted in docs/troubleshooting.md.
func TestTroubleshootingHasEveryReason(t *testing.T) {
	page, err := os.ReadFile("docs/troubleshooting.md")
	require.NoError(t, err)
	text := strings.Join(strings.Fields(string(page)), " ")
	n := 0
	for _, dir := range []string{"report", "drill", "load", "oracle"} {
		for _, r := range reasons(t, dir) {
			n++
			for _, fragment := range verbs.Split(r.text, -1) {
				fragment = strings.Join(strings.Fields(strings.Trim(fragment, " ;:,()")), " ")
				if len(fragment) >= leastFragment {
					if !strings.Contains(text, fragment) {
						t.Errorf("%s: docs/troubleshooting.md does not explain %q", r.at, fragment)
					}
				}
			}
		}
	}
	require.Greater(t, n, 40, "the reasons were not found in the code")
}

type reasonText struct {
	at   token.Position
	text string
}

// gives matches the names of functions whose result is a reason.
var gives = regexp.MustCompile(`(?i)reason$|^why$|^garbled$|^unreadable$|^disturbed$|^during$`)

// reasons lists the texts in the Go files below a directory that are assigned to a variable or
// field named why, returned beside a measurement of nothing, passed to nothing or withhold, or
// returned by a function that gives a reason.
func reasons(t *testing.T, dir string) (found []reasonText) {
	t.Helper()
	files := token.NewFileSet()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for i, to := range n.Lhs {
					if isWhy(to) && len(n.Rhs) == len(n.Lhs) {
						found = append(found, literals(files, n.Rhs[i])...)
					}
				}
			case *ast.KeyValueExpr:
				if isWhy(n.Key) {
					found = append(found, literals(files, n.Value)...)
				}
			case *ast.FuncDecl:
				if gives.MatchString(n.Name.Name) && n.Body != nil {
					ast.Inspect(n.Body, func(n ast.Node) bool {
						if r, ok := n.(*ast.ReturnStmt); ok {
							for _, e := range r.Results {
								found = append(found, literals(files, e)...)
							}
						}
						return true
					})
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "nothing" {
					for _, a := range n.Args {
						found = append(found, literals(files, a)...)
					}
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if strings.HasPrefix(name.Name, "not") && i < len(n.Values) {
						found = append(found, literals(files, n.Values[i])...)
					}
				}
			case *ast.ReturnStmt:
				if len(n.Results) > 1 && isNothing(n.Results[0]) {
					for _, r := range n.Results[1:] {
						found = append(found, literals(files, r)...)
					}
				}
			}
			return true
		})
		return nil
	}))
	return found
}

func isWhy(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return strings.EqualFold(e.Name, "why")
	case *ast.SelectorExpr:
		return isWhy(e.Sel)
	}
	return false
}

// isNothing reports whether an expression is a call of Nothing, the measurement of what could not
// be measured.
func isNothing(e ast.Expr) bool {
	c, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name == "Nothing"
	case *ast.SelectorExpr:
		return f.Sel.Name == "Nothing"
	}
	return false
}

// literals lists the string literals of an expression.
func literals(files *token.FileSet, e ast.Expr) (found []reasonText) {
	ast.Inspect(e, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if s, err := strconv.Unquote(l.Value); err == nil && s != "" {
				found = append(found, reasonText{files.Position(l.Pos()), s})
			}
		}
		return true
	})
	return found
}
