//go:build !linux

package redis

import "syscall"

// dieWithParent does nothing: only Linux can, and only a guard killed on its own needs it.
func dieWithParent(*syscall.SysProcAttr) {}
