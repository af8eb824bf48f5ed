package folder

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

// TestPermissions takes the permission to write to one story's directory, and then to the folder.
func TestPermissions(t *testing.T) {
	t.Parallel()
	folder := newStore(t)
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
	chmod(0o755, filepath.Dir(folder.dir))
	chmod(0o777, folder.dir, folder.at("stories"), folder.at(hidden), folder.at(temporaries), folder.at(sidecars),
		filepath.Dir(folder.at(folder.slot(key))))
	t.Cleanup(func() { chmod(0o777, folder.dir, filepath.Dir(folder.at(key)), folder.at(temporaries)) })

	chmod(0o555, filepath.Dir(folder.at(key)))
	if err := put(key); codestory.ClassOf(t.Context(), err) != codestory.ClassRetry || !errors.Is(err, os.ErrPermission) {
		t.Errorf("into a directory of that kind: %v, want a retry that does not hold up others", err)
	}
	if err := put("stories/other"); err != nil {
		t.Errorf("into another: %v", err)
	}
	if got := mustRead(t, folder, key); got != "x" {
		t.Errorf("the object now reads %q", got)
	}
	chmod(0o555, folder.at(temporaries))
	err := put(key)
	if e, ok := errors.AsType[*codestory.Error](err); !ok || e.State != codestory.RemoteDenied {
		t.Errorf("into a folder that takes nothing: %v, want the store denied", err)
	}
}
