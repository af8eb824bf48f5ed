package watch

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// A File is what the stores read from.
var _ remote.Source = (*File)(nil)

func openTree(t *testing.T) *Tree {
	t.Helper()
	tree, err := OpenTree(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestOpenTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "x")
	for _, c := range []struct{ name, want string }{
		{"missing", "no such file or directory"},
		{"file", "is not a directory"},
	} {
		_, err := OpenTree(filepath.Join(dir, c.name))
		if !errors.Is(err, ErrDirMissing) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("OpenTree(%s) = %v, want ErrDirMissing with %q", c.name, err, c.want)
		}
	}
}

func TestOpenTreeFollowsALinkToTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mkdir(t, filepath.Join(dir, "real", storyA))
	write(t, filepath.Join(dir, "real", storyA, "cover.jpg"), "x")
	symlink(t, "real", filepath.Join(dir, "link"))
	tree, err := OpenTree(filepath.Join(dir, "link"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := filepath.EvalSymlinks(filepath.Join(dir, "real"))
	if err != nil {
		t.Fatal(err)
	}
	if tree.Dir() != want {
		t.Errorf("Dir() = %s, want %s", tree.Dir(), want)
	}
	if _, err := tree.Stat(storyA + "/cover.jpg"); err != nil {
		t.Error(err)
	}
}

func symlink(t *testing.T, target, link string) {
	t.Helper()
	if err := os.Symlink(target, link); err != nil {
		t.Skipf("this user may not make symlinks: %v", err)
	}
}

func TestOnlyRegularFilesReachedWithoutASymlinkAreOpened(t *testing.T) {
	t.Parallel()
	tree := openTree(t)
	story := filepath.Join(tree.Dir(), storyA)
	mkdir(t, filepath.Join(story, "audio"))
	write(t, filepath.Join(story, "audio", "story.mp3"), "sound")
	outside := t.TempDir()
	write(t, filepath.Join(outside, "story.mp3"), "secret")
	symlink(t, filepath.Join(outside, "story.mp3"), filepath.Join(story, "out.mp3"))
	symlink(t, "audio/story.mp3", filepath.Join(story, "in.mp3"))
	symlink(t, "audio", filepath.Join(story, "linked"))
	symlink(t, storyA, filepath.Join(tree.Dir(), storyB))
	for _, c := range []struct {
		path codestory.Path
		ok   bool
	}{
		{storyA + "/audio/story.mp3", true},
		{storyA + "/audio/other.mp3", false},
		{storyA + "/audio", false},
		{storyA, false},
		{storyA + "/out.mp3", false},
		{storyA + "/in.mp3", false},
		{storyA + "/linked/story.mp3", false},
		{storyB + "/audio/story.mp3", false},
		{storyA + "/audio/story.mp3/more", false},
		{storyA + "/../" + storyA + "/audio/story.mp3", false},
		{storyA + "//audio/story.mp3", false},
		{"/etc/passwd", false},
		{"", false},
		{".", false},
		{storyA + "/nul\x00", false},
		{codestory.Path(storyA + "/" + strings.Repeat("long", 100)), false},
	} {
		_, statErr := tree.Stat(c.path)
		f, openErr := tree.Open(c.path)
		if openErr == nil {
			_ = f.Close()
		}
		for what, err := range map[string]error{"Stat": statErr, "Open": openErr} {
			if c.ok && err != nil {
				t.Errorf("%s(%q) = %v, want nil", what, c.path, err)
			}
			if !c.ok && !errors.Is(err, codestory.ErrNotFound) {
				t.Errorf("%s(%q) = %v, want ErrNotFound", what, c.path, err)
			}
		}
	}
}

func TestFileReads(t *testing.T) {
	t.Parallel()
	tree := openTree(t)
	mkdir(t, filepath.Join(tree.Dir(), storyA))
	write(t, filepath.Join(tree.Dir(), storyA, "cover.jpg"), "0123456789")
	f, err := tree.Open(storyA + "/cover.jpg")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Size() != 10 {
		t.Errorf("Size() = %d, want 10", f.Size())
	}
	if v, err := tree.Stat(storyA + "/cover.jpg"); err != nil || v != f.Version() {
		t.Errorf("Stat = %v, %v, want the version opened, %v", v, err, f.Version())
	}
	part := make([]byte, 3)
	if _, err := f.ReadAt(part, 4); err != nil || string(part) != "456" {
		t.Errorf("ReadAt = %q, %v", part, err)
	}
	if _, err := f.Seek(-2, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(f); err != nil || string(rest) != "89" {
		t.Errorf("after Seek: %q, %v", rest, err)
	}
	if err := f.Check(); err != nil {
		t.Errorf("Check of a file that was only read: %v", err)
	}
}

func TestCheckNoticesEveryChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(t *testing.T, file string)
	}{
		{"same size, modification time restored", func(t *testing.T, file string) {
			if runtime.GOOS == "windows" {
				t.Skip("the system tells no change time")
			}
			before, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			write(t, file, "noise")
			if err := os.Chtimes(file, before.ModTime(), before.ModTime()); err != nil {
				t.Fatal(err)
			}
		}},
		{"replaced by a rename", func(t *testing.T, file string) {
			write(t, file+".new", "sound")
			rename(t, file+".new", file)
		}},
		{"truncated", func(t *testing.T, file string) {
			if err := os.Truncate(file, 2); err != nil {
				t.Fatal(err)
			}
		}},
		{"removed", func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}},
		{"its directory moved away", func(t *testing.T, file string) {
			rename(t, filepath.Dir(file), filepath.Dir(file)+".away")
		}},
		{"replaced by a symlink to itself", func(t *testing.T, file string) {
			rename(t, file, file+".real")
			symlink(t, filepath.Base(file)+".real", file)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tree := openTree(t)
			file := filepath.Join(tree.Dir(), storyA, "cover.jpg")
			mkdir(t, filepath.Dir(file))
			write(t, file, "sound")
			age(t, file)
			f, err := tree.Open(storyA + "/cover.jpg")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Check(); err != nil {
				t.Fatalf("Check before: %v", err)
			}
			c.change(t, file)
			if err := f.Check(); !errors.Is(err, codestory.ErrChanged) {
				t.Errorf("Check = %v, want ErrChanged", err)
			}
		})
	}
}

func TestNothingIsNotFoundWhileTheDirectoryIsGone(t *testing.T) {
	t.Parallel()
	tree := openTree(t)
	file := filepath.Join(tree.Dir(), storyA, "cover.jpg")
	mkdir(t, filepath.Dir(file))
	write(t, file, "x")
	f, err := tree.Open(storyA + "/cover.jpg")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rename(t, tree.Dir(), tree.Dir()+".away")
	_, err = tree.Stat(storyA + "/cover.jpg")
	if !errors.Is(err, ErrDirMissing) || errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("Stat = %v, want ErrDirMissing alone", err)
	}
	if err := f.Check(); err == nil {
		t.Error("Check = nil of a file that is not there")
	}
	// Another directory at the same path is not the one that was opened, until it is.
	mkdir(t, filepath.Dir(file))
	write(t, file, "y")
	if _, err = tree.Stat(storyA + "/cover.jpg"); !errors.Is(err, ErrDirMissing) {
		t.Errorf("Stat in a replaced directory = %v, want ErrDirMissing", err)
	}
	if err := tree.reopen(); err != nil {
		t.Fatal(err)
	}
	if _, err = tree.Stat(storyA + "/cover.jpg"); err != nil {
		t.Errorf("Stat after reopen: %v", err)
	}
}
