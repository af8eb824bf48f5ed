//go:build unix

package watch

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/codestory/codestoryd"
)

func TestAPipeDoesNotHangOpen(t *testing.T) {
	t.Parallel()
	tree := openTree(t)
	mkdir(t, filepath.Join(tree.Dir(), storyA))
	if err := syscall.Mkfifo(filepath.Join(tree.Dir(), storyA, "cover.jpg"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Open(storyA + "/cover.jpg"); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("Open = %v, want ErrNotFound", err)
	}
}

// What is put in a directory's place between the look at it and the open is not opened, and does not block.
func TestASwapIsCaught(t *testing.T) {
	t.Parallel()
	for what, swap := range map[string]func(name string) error{
		"a symlink":         func(name string) error { return os.Symlink("other", name) },
		"a symlink outside": func(name string) error { return os.Symlink("/", name) },
		"a pipe":            func(name string) error { return syscall.Mkfifo(name, 0o644) },
		"a file":            func(name string) error { return os.WriteFile(name, nil, 0o644) },
		"another directory": func(name string) error { return os.Mkdir(name, 0o755) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			tree := openTree(t)
			in := func(name string) string { return filepath.Join(tree.Dir(), name) }
			mkdir(t, in("dir"))
			mkdir(t, in("other"))
			root, err := tree.root()
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			info, err := root.Lstat("dir")
			// It stays in existence, so that its inode is not given to what takes its place.
			if err := errors.Join(err, os.Rename(in("dir"), in("old dir")), swap(in("dir"))); err != nil {
				t.Fatal(err)
			}
			if d, err := openSubdir(root, "dir", info); err == nil {
				_ = d.Close()
				t.Errorf("%s was opened for the directory", what)
			}
		})
	}
}

// Whatever is put in the file's place between the look at it and the open, Open reads the file or nothing.
func TestOpenSurvivesSwaps(t *testing.T) {
	t.Parallel()
	tree := openTree(t)
	story := filepath.Join(tree.Dir(), storyA)
	mkdir(t, filepath.Join(story, "audio"))
	mkdir(t, filepath.Join(story, "other"))
	write(t, filepath.Join(story, "other", "story.mp3"), "wrong")
	file := filepath.Join(story, "audio", "story.mp3")

	stop := make(chan struct{})
	swapped := make(chan error, 1)
	go func() { swapped <- swapForEver(file, stop) }()
	var opened int
	for try := 0; try < 3000 || opened == 0 && try < 1_000_000; try++ {
		f, err := tree.Open(storyA + "/audio/story.mp3")
		if err != nil {
			continue
		}
		opened++
		content, err := io.ReadAll(f)
		if err != nil || string(content) != "right" {
			t.Errorf("read %q, %v, want the file itself", content, err)
		}
		_ = f.Close()
	}
	close(stop)
	if err := <-swapped; err != nil {
		t.Fatal(err)
	}
	if opened == 0 {
		t.Error("the file was never opened: the test shows nothing")
	}
}

// swapForEver puts a regular file, a symlink to another file and a pipe at name, one after the other.
func swapForEver(name string, stop <-chan struct{}) error {
	next := name + ".next"
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		for _, make := range []func() error{
			func() error { return os.WriteFile(next, []byte("right"), 0o644) },
			func() error { return os.Symlink("../other/story.mp3", next) },
			func() error { return syscall.Mkfifo(next, 0o644) },
		} {
			if err := errors.Join(make(), os.Rename(next, name)); err != nil {
				return err
			}
		}
	}
}
