package redis

import "syscall"

// dieWithParent has the kernel end the server when the guard itself is killed.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
