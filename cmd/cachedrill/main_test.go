package main

import (
	"bytes"
	"context"
	"os"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/pgtest"
	"github.com/cachedrill/cachedrill/internal/reexec"
	"github.com/cachedrill/cachedrill/tests/program"
)

// asProgram, in the environment, makes the tests' binary the program itself: for what starts one
// that needn't be built for it.
const asProgram = "CACHEDRILL_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	reexec.Main(testRoles())
	if os.Getenv(asProgram) != "" {
		main()
	}
	goredis.SetLogger(silent{})
	os.Exit(program.Main(pgtest.Closing(m)))
}

// cli runs the program in an empty folder.
func cli(t *testing.T, files map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
	}
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}
