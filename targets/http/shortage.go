package http

import (
	"errors"
	"fmt"
	nethttp "net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
)

// shortage is what this program itself ran out of, which is no fault of the service.
type shortage struct {
	n     atomic.Int64
	first atomic.Pointer[string]
}

// shortOf says what a connection could not be made for want of here; "" where it was not.
func shortOf(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE):
		var limit syscall.Rlimit
		if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
			return "files that this program may open: raise the limit (ulimit -n)"
		}
		return fmt.Sprintf("files: this program may open %d at once, connections included: raise the limit (ulimit -n %d)", limit.Cur, max(4096, 4*limit.Cur))
	case errors.Is(err, syscall.ENFILE):
		return "files that all programs may have open: raise fs.file-max (sysctl)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		text := "local ports: widen net.ipv4.ip_local_port_range (sysctl), or lower the rate"
		if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
			text += "; it is " + strings.Join(strings.Fields(string(b)), " to ")
		}
		return text
	}
	return ""
}

// words say what this program ran out of; "" when of nothing.
func (s *shortage) words() string {
	first := s.first.Load()
	if first == nil {
		return ""
	}
	return fmt.Sprintf("%d requests were not sent, because cachedrill itself ran out of %s", s.n.Load(), *first)
}

func (s *shortage) note(err error) {
	if why := shortOf(err); why != "" {
		s.n.Add(1)
		s.first.CompareAndSwap(nil, &why)
	}
}

// denials count answers that refuse who asks, after others did not.
type denials struct{ good, n, after, status atomic.Int64 }

func (d *denials) note(status int) {
	switch {
	case status == nethttp.StatusUnauthorized || status == nethttp.StatusForbidden:
		if d.n.Add(1) == 1 {
			d.after.Store(d.good.Load())
			d.status.Store(int64(status))
		}
	case status >= 200 && status < 300:
		d.good.Add(1)
	}
}

// words say that the service began to refuse who asks; "" when it did not, or always did.
func (d *denials) words() string {
	if d.n.Load() == 0 || d.after.Load() == 0 {
		return ""
	}
	return fmt.Sprintf("%d answers were 401 or 403, the first a %d after %d good ones: a token or session that ran out looks like this; one that lasts for the whole drill helps",
		d.n.Load(), d.status.Load(), d.after.Load())
}
