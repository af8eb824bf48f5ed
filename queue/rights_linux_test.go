package queue_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codestory/codestoryd/queue"
)

// openWithoutRights opens the database as a user who does not own it, also where the tests run as root, whom no mode
// stops: on a thread of its own, which ends with its goroutine.
func openWithoutRights(path string, opts queue.Options) (q *queue.Queue, err error) {
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		if os.Geteuid() == 0 {
			const nobody = 65534
			runtime.LockOSThread()
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0) // it reports no error; see setfsuid(2)
		}
		q, err = queue.Open(path, "a", opts)
	}()
	<-opened
	return q, err
}

// TestOpenWithoutRights: who may only read can look, and who may not is told so.
func TestOpenWithoutRights(t *testing.T) {
	t.Parallel()
	path, before := newFile(t)
	dir := filepath.Dir(path)
	mode := func(name string, mode fs.FileMode) {
		t.Helper()
		must(t, os.Chmod(name, mode))
	}
	mode(filepath.Dir(dir), 0o755) // t.TempDir is its owner's alone
	t.Cleanup(func() { mode(dir, 0o755) })

	mode(dir, 0o555)
	mode(path, 0o444)
	q, err := openWithoutRights(path, queue.Options{ReadOnly: true})
	must(t, err)
	if s := stats(t, q); s.Queued != 1 || s.SyncedFiles != 1 {
		t.Errorf("stats are %+v", s)
	}
	must(t, q.Close())
	refusedRights(t, path, queue.Options{})

	mode(dir, 0)
	refusedRights(t, path, queue.Options{})
	refusedRights(t, path, queue.Options{ReadOnly: true})

	mode(dir, 0o755)
	if !bytes.Equal(read(t, path), before) {
		t.Error("the file has changed")
	}
}

func refusedRights(t *testing.T, path string, opts queue.Options) {
	t.Helper()
	opts.Timeout = 100 * time.Millisecond
	_, err := openWithoutRights(path, opts)
	if !errors.Is(err, fs.ErrPermission) || errors.Is(err, queue.ErrDamaged) || !strings.Contains(err.Error(), path) ||
		!strings.Contains(err.Error(), "rights") {
		t.Errorf("%+v: the error is %v", opts, err)
	}
}
