package watch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mount mounts what is in dir at the rig's output directory, until the function it returns is called: that fails while
// anything there is held open.
func (r *rig) mount(dir string) (unmount func() error) {
	r.t.Helper()
	err := unix.Mount(dir, r.dir, "", unix.MS_BIND, "")
	if errors.Is(err, unix.EPERM) {
		r.t.Skip("only root may mount")
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = unix.Unmount(r.dir, unix.MNT_DETACH) })
	return func() error { return unix.Unmount(r.dir, 0) }
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
	r := newRig(t)
	source := disk(t)
	put(t, source, storyA+"/a.txt")
	unmount := r.mount(source)
	if err := r.tree.reopen(); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.arrives(storyA + "/a.txt")
	r.quiet()
	r.wait("nothing to be held open", func() bool { return unmount() == nil })
	r.wait("the problem", func() bool { _, is := r.problem(problemDirMissing); return is })
	if problem, _ := r.problem(problemDirMissing); !strings.Contains(problem.Message, "mount the one that it was on") ||
		!strings.Contains(problem.Message, "nothing counts as deleted") {
		t.Errorf("the problem says %q", problem.Message)
	}
	if _, err := r.tree.Stat(storyA + "/a.txt"); !errors.Is(err, ErrDirMissing) {
		t.Errorf("Stat = %v, want ErrDirMissing", err)
	}
	if left, err := os.ReadDir(r.dir); err != nil || len(left) > 0 {
		t.Errorf("where it was mounted there are %v, %v", left, err)
	}
	put(t, source, storyA+"/b.txt")
	r.mount(source)
	r.arrives(storyA + "/b.txt")
	r.wait("the problem to be over", func() bool { return len(r.w.Problems()) == 0 })
	r.write(storyB+"/c.txt", "x")
	r.arrives(storyB + "/c.txt")
	if n := len(r.sink.of(storyA + "/a.txt")); n != 1 {
		t.Errorf("a.txt was handed on %d times, want once", n)
	}
}

func TestAnotherDiskWithFilesInItsPlaceIsWatched(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	other := disk(t)
	put(t, other, storyB+"/b.txt")
	if !r.tree.Original() {
		t.Error("Original = false before")
	}
	unmount := r.mount(other)
	r.arrives(storyB + "/b.txt")
	if r.tree.Original() {
		t.Error("Original = true of another disk")
	}
	r.quiet()
	r.wait("nothing to be held open", func() bool { return unmount() == nil })
	r.write(storyA+"/a.txt", "x")
	r.arrives(storyA + "/a.txt")
	if !r.tree.Original() {
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
	r := newRig(t)
	r.tree, r.w.tree, r.dir = tree, tree, tree.Dir()
	r.start()
	r.arrives(storyA + "/a.txt")
	symlink(t, "two", link+".next")
	rename(t, link+".next", link)
	r.arrives(storyB + "/b.txt")
	r.dir = filepath.Join(filepath.Dir(r.dir), "two")
	r.wait("the directory", func() bool { return tree.Dir() == r.dir })
	r.write(storyB+"/c.txt", "x")
	r.arrives(storyB + "/c.txt")
	if _, err := tree.Stat(storyB + "/c.txt"); err != nil {
		t.Error(err)
	}
}
