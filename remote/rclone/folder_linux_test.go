package rclone

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// nobody makes the calling goroutine, until it ends, one that nothing is permitted to because it is root.
func nobody(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if err := unix.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
}

// TestFolderPermissions takes the permission to write to one story's directory, and then to the folder.
func TestFolderPermissions(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	mustPut(t, folder, key, "x")
	chmod := func(mode os.FileMode, paths ...string) {
		for _, path := range paths {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	put := func(key string) error {
		done := make(chan error)
		go func() {
			nobody(t)
			_, err := folder.Put(t.Context(), key, remotetest.NewSource([]byte("y")), remote.PutOptions{})
			done <- err
		}()
		return <-done
	}
	hidden := filepath.Dir(folder.tmp)
	slots := filepath.Dir(folder.slot(key))
	chmod(0o755, filepath.Dir(folder.dir))
	chmod(0o777, folder.dir, filepath.Join(folder.dir, "stories"), hidden, folder.tmp, folder.sums, slots)
	t.Cleanup(func() { chmod(0o777, folder.dir, filepath.Dir(place(folder, key)), folder.tmp) })

	chmod(0o555, filepath.Dir(place(folder, key)))
	if err := put(key); codestory.ClassOf(t.Context(), err) != codestory.ClassRetry || !errors.Is(err, os.ErrPermission) {
		t.Errorf("into a directory of that kind: %v, want a retry that does not hold up others", err)
	}
	if err := put("stories/other"); err != nil {
		t.Errorf("into another: %v", err)
	}
	if got := mustRead(t, folder, key); got != "x" {
		t.Errorf("the object now reads %q", got)
	}
	if os.Geteuid() == 0 {
		return // whom access(2) tells that all is permitted
	}
	chmod(0o555, folder.tmp)
	wantState(t, "put", put(key), codestory.RemoteDenied)
	wantState(t, "check", folder.Check(t.Context()), codestory.RemoteDenied)
}
