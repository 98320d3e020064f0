// Package cachedrill holds the default suite of scenarios: the scenarios.yaml beside this file,
// which the command runs where no other is given.
package cachedrill

import _ "embed"

// DefaultSuite is the YAML of the default suite.
//
//go:embed scenarios.yaml
var DefaultSuite []byte
