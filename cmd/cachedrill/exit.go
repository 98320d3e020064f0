package main

import (
	"errors"
	"fmt"

	"github.com/cachedrill/cachedrill/drill/environment"
)

// Exit codes.
const (
	exitPass        = 0
	exitFail        = 1
	exitUsage       = 2
	exitUnknown     = 3
	exitInterrupted = 130
)

// exit is an error that decides the exit code. One without an inner error has been printed already.
type exit struct {
	code int
	err  error
}

func (e exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e exit) Unwrap() error { return e.err }

// configuration is an error of what the user asked for.
func configuration(err error) error {
	if err == nil {
		return nil
	}
	return exit{exitUsage, err}
}

// failure is an error of what was well configured.
func failure(err error) error {
	if err == nil {
		return nil
	}
	return exit{exitFail, err}
}

// interrupted says what is left after Ctrl-C: nothing, or what could not be healed or ended.
func interrupted(err error) error {
	var left *environment.CleanupError
	if errors.As(err, &left) {
		return exit{exitInterrupted, fmt.Errorf("interrupted, and not everything could be put back: %w", left)}
	}
	return exit{exitInterrupted, errors.New("interrupted: healed and stopped, no verdict")}
}
