package http

import (
	"errors"
	nethttp "net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cachedrill/cachedrill/internal/patience"
)

// limited makes the error of an answer that asks for patience one that says so: 429, or 503 with
// Retry-After. Such an answer comes from in front of the service's work: nothing was done.
func limited(a *received, err error) error {
	if err == nil || a.status != nethttp.StatusTooManyRequests && a.status != nethttp.StatusServiceUnavailable {
		return err
	}
	after, ok := retryAfter(a.header, time.Now())
	if !ok && a.status != nethttp.StatusTooManyRequests {
		return err
	}
	return &patience.Error{After: after, Err: err}
}

// retryAfter reads Retry-After: seconds, or a date, which is compared with the service's own clock
// where the answer has it.
func retryAfter(h nethttp.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil {
		if s < 0 || s > 1e9 {
			return 0, s > 0
		}
		return max(time.Duration(s*float64(time.Second)), time.Millisecond), true
	}
	at, err := nethttp.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if date, err := nethttp.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(at.Sub(now), time.Millisecond), true
}

// asksForPatience reports whether an error is an answer that asks to be left alone for a while.
func asksForPatience(err error) bool {
	var limit *patience.Error
	return errors.As(err, &limit)
}
