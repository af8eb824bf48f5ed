package watch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mount mounts what is in dir at the env's output directory, until the function it returns is called: that fails while
// anything there is held open.
func (e *env) mount(dir string) (unmount func() error) {
	e.t.Helper()
	err := unix.Mount(dir, e.dir, "", unix.MS_BIND, "")
	if errors.Is(err, unix.EPERM) {
		e.t.Skip("only root may mount")
	}
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = unix.Unmount(e.dir, unix.MNT_DETACH) })
	return func() error { return unix.Unmount(e.dir, 0) }
}

// disk is a file system of its own.
func disk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m")
	if errors.Is(err, unix.EPERM) {
		t.Skip("only root may mount")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestTheDirectoryIsUnmountedAndMountedAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	source := disk(t)
	put(t, source, storyA+"/a.txt")
	unmount := e.mount(source)
	if err := e.tree.reopen(); err != nil {
		t.Fatal(err)
	}
	e.start()
	e.arrives(storyA + "/a.txt")
	e.quiet()
	e.wait("nothing to be held open", func() bool { return unmount() == nil })
	e.wait("the problem", func() bool { _, is := e.problem(problemDirMissing); return is })
	if problem, _ := e.problem(problemDirMissing); !strings.Contains(problem.Message, "mount the one that it was on") ||
		!strings.Contains(problem.Message, "nothing counts as deleted") {
		t.Errorf("the problem says %q", problem.Message)
	}
	if _, err := e.tree.Stat(storyA + "/a.txt"); !errors.Is(err, ErrDirMissing) {
		t.Errorf("Stat = %v, want ErrDirMissing", err)
	}
	if left, err := os.ReadDir(e.dir); err != nil || len(left) > 0 {
		t.Errorf("where it was mounted there are %v, %v", left, err)
	}
	put(t, source, storyA+"/b.txt")
	e.mount(source)
	e.arrives(storyA + "/b.txt")
	e.wait("the problem to be over", func() bool { return len(e.w.Problems()) == 0 })
	e.write(storyB+"/c.txt", "x")
	e.arrives(storyB + "/c.txt")
	if n := len(e.sink.of(storyA + "/a.txt")); n != 1 {
		t.Errorf("a.txt was handed on %d times, want once", n)
	}
}

func TestAnotherDiskWithFilesInItsPlaceIsWatched(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.start()
	other := disk(t)
	put(t, other, storyB+"/b.txt")
	if !e.tree.Original() {
		t.Error("Original = false before")
	}
	unmount := e.mount(other)
	e.arrives(storyB + "/b.txt")
	if e.tree.Original() {
		t.Error("Original = true of another disk")
	}
	e.quiet()
	e.wait("nothing to be held open", func() bool { return unmount() == nil })
	e.write(storyA+"/a.txt", "x")
	e.arrives(storyA + "/a.txt")
	if !e.tree.Original() {
		t.Error("Original = false after")
	}
}

func TestALinkToTheDirectoryThatIsLedElsewhereIsFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "one/"+storyA+"/a.txt")
	put(t, dir, "two/"+storyB+"/b.txt")
	link := filepath.Join(dir, "output")
	symlink(t, "one", link)
	tree, err := OpenTree(link)
	if err != nil {
		t.Fatal(err)
	}
	e := newEnv(t)
	e.tree, e.w.tree, e.dir = tree, tree, tree.Dir()
	e.start()
	e.arrives(storyA + "/a.txt")
	symlink(t, "two", link+".next")
	rename(t, link+".next", link)
	e.arrives(storyB + "/b.txt")
	e.dir = filepath.Join(filepath.Dir(e.dir), "two")
	e.wait("the directory", func() bool { return tree.Dir() == e.dir })
	e.write(storyB+"/c.txt", "x")
	e.arrives(storyB + "/c.txt")
	if _, err := tree.Stat(storyB + "/c.txt"); err != nil {
		t.Error(err)
	}
}
