package redismonitor

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]Command{
		`1700000000.000123 [0 127.0.0.1:5000] "SET" "k" "v"`: {
			At: 1700000000*time.Second + 123*time.Microsecond, DB: "0", Client: "127.0.0.1:5000", Words: []string{"SET", "k", "v"}},
		`1700000000.500000 [3 lua] "del" "a b\"c\\\n\x00\xff"`: {
			At: 1700000000*time.Second + 500*time.Millisecond, DB: "3", Client: "lua", Words: []string{"del", "a b\"c\\\n\x00\xff"}},
		`1.000000 [0 unix:/tmp/a]b] "PING"`:       {At: time.Second, DB: "0", Client: "unix:/tmp/a]b", Words: []string{"PING"}},
		`1.000000 [0 [::1]:6] "GET" "" "] \"GET"`: {At: time.Second, DB: "0", Client: "[::1]:6", Words: []string{"GET", "", `] "GET`}},
	} {
		c, err := Parse(line)
		require.NoError(t, err, line)
		require.Equal(t, want, c)
	}
	for _, line := range []string{"", "OK", `1 [0 a:1] "GET"`, `1.000000 [0 a:1]`, `1.000000 [0] "GET"`, `1.000000 [0 a:1] GET`,
		`1.000000 [0 a:1] "GET`, `1.00000x [0 a:1] "GET"`, "1.000000 [0 a:1] `GET`"} {
		_, err := Parse(line)
		require.ErrorIs(t, err, errNoCommand, line)
	}
}

func TestCommandsAreShownShort(t *testing.T) {
	c := Command{Words: []string{"SETEX", strings.Repeat("k", 60), "8", "a \"b\" " + strings.Repeat("x", 100)}}
	require.Equal(t, `SETEX `+strings.Repeat("k", 60)+` 8 "a \"b\" xxxxxxxxxxxxxx"...`, c.String())
	require.Equal(t, `DEL 1 2 3 4 5 6 7 ...`, (&Command{Words: strings.Fields("DEL 1 2 3 4 5 6 7 8 9")}).String())
}

// seen makes commands of lines such as "1.5 A SET lock 1 NX EX 3".
func seen(t *testing.T, lines string) *Locks {
	l := NewLocks()
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		at, err := time.ParseDuration(f[0] + "s")
		require.NoError(t, err)
		l.See(Command{At: at, DB: "0", Client: f[1], Words: f[2:]})
	}
	return l
}

func tell(l *Locks) string {
	var out []string
	for _, x := range l.Thefts() {
		out = append(out, x.Tell(func(at time.Duration) string { return fmt.Sprintf("%gs", at.Seconds()) }))
	}
	return strings.Join(out, "\n")
}

func TestALockOfSomebodyElseIsDeleted(t *testing.T) {
	l := seen(t, `
		1   A SET lock 1 NX EX 3
		1.1 B SET lock 1 NX EX 3
		4.1 B SET lock 1 EX 3 NX
		4.5 A SETEX value 8 x
		4.6 A DEL lock
		5   C SET lock 1 NX EX 3
		7.6 B SETEX value 8 y
		7.7 B DEL lock
		8   C DEL lock`)
	require.Equal(t, "1s A SET lock 1 NX EX 3; 4s that lock ran out; 4.1s B SET lock 1 EX 3 NX; 4.5s A SETEX value 8 x; "+
		"4.6s A DEL lock (the lock of B); 5s C SET lock 1 NX EX 3 (while B was at it)\n"+
		"4.1s B SET lock 1 EX 3 NX; 4.6s that lock was deleted by another; 5s C SET lock 1 NX EX 3; 7.6s B SETEX value 8 y; "+
		"7.7s B DEL lock (the lock of C)", tell(l))
}

// Clients that do nothing wrong, or that look like those, are not accused.
func TestNobodyIsAccusedWithoutProof(t *testing.T) {
	const late = "\n1 A SET lock 1 NX EX 3\n 4.1 B SET lock 1 NX EX 3\n"
	for name, lines := range map[string]string{
		"one after the other":               "1 A SET lock 1 NX EX 3\n 2 A DEL lock\n 3 B SET lock 1 NX EX 3\n 4 B DEL lock",
		"late, and not taken over":          "1 A SET lock 1 NX EX 3\n 5 A DEL lock",
		"late, and B had given it back":     late + "4.2 B DEL lock\n 4.5 A DEL lock",
		"late, and B's had run out, too":    late + "7.2 A DEL lock",
		"by a script, that compares":        late + "4.5 lua DEL lock",
		"extended in time":                  "1 A SET lock 1 NX EX 3\n 3 A EXPIRE lock 3\n 4.1 B SET lock 1 NX EX 3\n 4.5 A DEL lock",
		"extended in milliseconds":          "1 A SET lock 1 NX PX 3000\n 3 A PEXPIRE lock 3000\n 4.1 B SET lock 1 NX PX 3000\n 4.5 A DEL lock",
		"taken anew after it had run out":   "1 A SET lock 1 NX EX 3\n 4.1 A SET lock 1 NX EX 3\n 4.5 A DEL lock",
		"no lock but a copy, added if new":  late + "4.2 C GET lock\n 4.5 A DEL lock",
		"no lock but a copy, read later":    late + "4.5 A DEL lock\n 4.6 C GET lock",
		"after a flush":                     late + "4.2 C FLUSHALL\n 4.5 A DEL lock",
		"after a flush that does not wait":  late + "4.2 C FLUSHALL ASYNC\n 4.5 A DEL lock",
		"set by somebody who did not ask":   late + "4.2 C SET lock 1 EX 9\n 4.5 A DEL lock",
		"of a lock that never ends":         "1 A SETNX lock 1\n 2 B SETNX lock 1\n 3 A DEL lock",
		"connections are shared":            "1 A SET other 1 NX EX 3\n 2 B DEL other\n" + late + "4.5 A DEL lock",
		"a value that was stored elsewhere": "1 A SET copy v EX 3\n 4.1 B SET copy v EX 3\n 4.5 A DEL copy",
	} {
		require.Empty(t, tell(seen(t, lines)), name)
	}
	require.NotEmpty(t, tell(seen(t, late+"4.5 A DEL lock")))
	require.False(t, seen(t, late+"4.5 lua DEL lock").Shared(), "a script is no connection")
	// The order at the expiry is uncertain: neither is accused of having the other's lock, and a
	// late one is late.
	const race = "\n1.0009 A SET lock 1 NX EX 3\n 4.0003 B SET lock 1 NX EX 3\n 4.02 C SET lock 1 NX EX 3\n"
	for _, owner := range []string{"B", "C"} {
		l := seen(t, race+"4.5 "+owner+" DEL lock")
		require.Empty(t, tell(l))
		require.False(t, l.Shared())
	}
	require.Contains(t, tell(seen(t, race+"4.5 A DEL lock")), "A DEL lock (the lock of B, or of one that asked at the same moment)")
	require.Contains(t, tell(seen(t, race+"4.06 B SET lock 1 NX EX 3\n 4.11 B SET lock 1 NX EX 3\n 4.5 A DEL lock")), "A DEL lock (the lock of C)", "B asks again")
	require.Contains(t, tell(seen(t, race+"4.06 C SET lock 1 NX EX 3\n 4.1 D SET lock 1 NX EX 3\n 4.11 C SET lock 1 NX EX 3\n 4.12 D SET lock 1 NX EX 3\n 4.5 A DEL lock")),
		"A DEL lock (the lock of B)", "the others asked again, or when it was taken for certain")
	require.True(t, seen(t, race+"4.06 D SET lock 1 NX EX 3\n 4.07 E SET lock 1 NX EX 3\n 4.5 E DEL lock").Shared(), "E asked when it was taken for certain")
	require.False(t, seen(t, "1 A SET lock 1 NX EX 3\n 3.999 B DEL lock").Shared())
	require.True(t, seen(t, "1 A SET lock 1 NX EX 3\n 3.8 B DEL lock").Shared())
	require.NotEmpty(t, tell(seen(t, late+"4.5 A UNLINK x lock")))
	require.True(t, seen(t, "1 A SET other 1 NX EX 3\n 2 B DEL other").Shared())
}

// One release in many that looks odd is not a pool of connections.
func TestSharedConnections(t *testing.T) {
	for _, c := range []struct {
		own    int
		shared bool
	}{{0, true}, {chance - 1, true}, {chance, false}} {
		lines := strings.Repeat("1 A SET other 1 NX EX 3\n 2 A DEL other\n", c.own) + "3 A SET other 1 NX EX 3\n 4 B DEL other"
		require.Equal(t, c.shared, seen(t, lines).Shared(), c.own)
	}
}

// However many keys there are, memory is bounded.
func TestLocksAreForgottenWhenThereAreTooMany(t *testing.T) {
	l := NewLocks()
	for i := range mostKeys + 10 {
		l.See(Command{At: time.Second, DB: "0", Client: "A", Words: []string{"SET", strconv.Itoa(i), "1", "NX"}})
	}
	require.Less(t, len(l.locks), mostKeys/2)
}
