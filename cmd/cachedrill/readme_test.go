package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/internal/redistest"
	"github.com/cachedrill/cachedrill/tests/program"
)

const (
	consoleFence = "```console\n"
	// slow stands before a block that drills for long: with CACHEDRILL_SOAK it is run too, in make
	// soak and in CI.
	slow = "<!-- slow -->\n"
)

// What the README shows on a console is what its commands print, figures aside: see [mask]. A line
// of three dots stands for any lines. The blocks are run one after the other in one folder that has
// what a clone has. With -update those that are run and leave nothing out are written.
func TestREADME(t *testing.T) {
	path := filepath.Join("..", "..", "README.md")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	text := string(b)
	dir := cloned(t)
	t.Setenv("PATH", filepath.Dir(program.Build(t))+string(os.PathListSeparator)+os.Getenv("PATH"))
	_, _, soak := program.Seeds("CACHEDRILL_SOAK")
	if soak {
		redistest.Need(t)
	}
	ran := 0
	for i, part := range strings.Split(text, consoleFence)[1:] {
		block, _, ok := strings.Cut(part, "```")
		require.True(t, ok, "block %d has no end", i+1)
		if strings.Contains(text, slow+consoleFence+block) && !soak {
			continue
		}
		ran++
		printed := console(t, dir, block)
		if *update && !strings.Contains(block, "\n...\n") {
			text = strings.Replace(text, consoleFence+block+"```", consoleFence+printed+"```", 1)
			continue
		}
		if !like(strings.Split(mask(block, true), "\n"), strings.Split(mask(printed, true), "\n")) {
			t.Errorf("README, console block %d:\n%s\nprints now\n%s", i+1, block, printed)
		}
	}
	require.Positive(t, ran)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// cloned makes a folder in which commands find what they find in a clone, and write beside it.
func cloned(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	dir := t.TempDir()
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() != "drill-out" {
			require.NoError(t, os.Symlink(filepath.Join(root, e.Name()), filepath.Join(dir, e.Name())))
		}
	}
	return dir
}

// console runs the commands of a block, and returns the block as it would be with what they print.
func console(t *testing.T, dir, block string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(block) {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if _, ended := err.(*exec.ExitError); err != nil && !ended {
			require.NoError(t, err, command)
		}
		b.WriteString(line)
		b.Write(out)
	}
	return b.String()
}

// like compares lines; one of three dots in want stands for any number of lines.
func like(want, have []string) bool {
	for i, w := range want {
		if w == "..." {
			for skipped := range len(have) + 1 {
				if like(want[i+1:], have[skipped:]) {
					return true
				}
			}
			return false
		}
		if len(have) == 0 || have[0] != w {
			return false
		}
		have = have[1:]
	}
	return len(have) == 0
}

func TestLike(t *testing.T) {
	lines := func(s string) []string { return strings.Split(s, " ") }
	require.True(t, like(lines("a ... d"), lines("a b c d")))
	require.True(t, like(lines("a ... b ... d"), lines("a b c d")))
	require.False(t, like(lines("a ... e"), lines("a b c d")))
	require.False(t, like(lines("a b"), lines("a b c")))
	require.False(t, like(lines("a b c"), lines("a b")))
}
