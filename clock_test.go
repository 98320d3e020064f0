package cachedrill_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// wall is what makes or reads a wall clock's time of a [time.Time]: each drops the monotonic
// reading, or looks past it. A step of the wall clock during a drill changes no verdict as long as
// none of them meets a stamp.
var wall = map[string]bool{
	"Unix": true, "UnixNano": true, "UnixMilli": true, "UnixMicro": true, "UTC": true, "Local": true, "In": true,
	"AddDate": true, "MarshalText": true, "MarshalJSON": true, "MarshalBinary": true, "Date": true, "Clock": true, "Format": true,
}

// wallAllowed says where such a method is called, with the reason.
var wallAllowed = map[string]string{
	"report/hlog.go UnixMilli":                       "the log's format names the wall clock's start",
	"report/junit.go Format":                         "shows when the suite began",
	"report/junit.go UTC":                            "shows when the suite began",
	"report/markdown.go Format":                      "shows when the suite began",
	"report/markdown.go UTC":                         "shows when the suite began",
	"drill/environment/virtual/handles.go UnixMilli": "Redis tells expiry in Unix ms of its own clock, which faults may step",
}

// Packages that stamp or compare times never touch the wall clock.
func TestNoWallClock(t *testing.T) {
	seen := 0
	for _, dir := range []string{"oracle", "load", "report", "scenarios", "drill"} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			seen++
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				f, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				name := f.Sel.Name
				arg, _ := firstArg(call).(*ast.BasicLit)
				bad := wall[name] || name == "Round" && arg != nil && arg.Value == "0"
				key := filepath.ToSlash(path) + " " + name
				if bad && wallAllowed[key] == "" {
					t.Errorf("%s: %s looks at the wall clock; say in wallAllowed why it may", files.Position(call.Pos()), name)
				}
				return true
			})
			return nil
		}))
	}
	require.Greater(t, seen, 50)
}

func firstArg(call *ast.CallExpr) ast.Expr {
	if len(call.Args) == 0 {
		return nil
	}
	return call.Args[0]
}
