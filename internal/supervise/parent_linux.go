package supervise

import (
	"runtime"
	"syscall"
)

func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

func lockThread() { runtime.LockOSThread() }
