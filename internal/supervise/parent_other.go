//go:build !linux

package supervise

import "syscall"

func dieWithParent(*syscall.SysProcAttr) {}

func lockThread() {}
