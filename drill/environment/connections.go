package environment

import (
	"bufio"
	"net"
	"os"
	"strconv"
	"strings"
)

// ConnectionsTo counts the established connections to a port of this machine, as the kernel lists
// them; ok is false where it does not.
func ConnectionsTo(addr string) (n int, ok bool) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, false
	}
	want, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0, false
	}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		ok = true
		for lines := bufio.NewScanner(f); lines.Scan(); {
			// "  0: 0100007F:1CE3 0100007F:D431 01 ...": number, local, remote, state; 01 is
			// established.
			fields := strings.Fields(lines.Text())
			if len(fields) < 4 || fields[3] != "01" {
				continue
			}
			_, local, _ := strings.Cut(fields[1], ":")
			if p, err := strconv.ParseUint(local, 16, 16); err == nil && p == want {
				n++
			}
		}
		_ = f.Close()
	}
	return n, ok
}
