//go:build !linux

package pgtest

import "syscall"

// dieWithParent does nothing: only Linux can, and only a guard killed on its own needs it.
func dieWithParent(*syscall.SysProcAttr) {}

// childrenOf finds none: a server's children end by themselves, a moment after it.
func childrenOf(int) ([]int, error) { return nil, nil }

func awaitEnd(int) {}
