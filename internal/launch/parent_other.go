//go:build !linux

package launch

import "syscall"

func dieWithParent(*syscall.SysProcAttr) {}

func lockThread() {}
