package remotetest

import (
	"os/exec"
	"syscall"
)

// endsWithParent has the system kill the process when the test dies without cleaning up.
func endsWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
