package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"github.com/codestory/codestoryd"
)

// asNobody runs f as a user whom the modes of files mean: root becomes one who owns nothing.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and its user with it
		none := [2]unix.CapUserData{}
		err := errors.Join(unix.Setfsuid(65534),
			unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]))
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// chmod changes the mode until the test ends.
func chmod(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(name, 0o755) })
}

// openToAll lets everybody into t.TempDir(), which tests keep to themselves.
func openToAll(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestWritersOf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openToAll(t, dir)
	name := filepath.Join(dir, "file")
	write(t, name, "x")
	probe := func() writers {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return writersUnknown
		}
		defer f.Close()
		answer, info, err := writersOf(f)
		if err != nil || info.Size() != 1 {
			t.Errorf("writersOf of a file with one byte: %v, %v", info, err)
		}
		return answer
	}
	if got := probe(); got != writersNone {
		t.Skipf("the file system of %s gives no leases", name)
	}
	w, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := probe(); got != writersSome {
		t.Errorf("with a writer: %v, want writersSome", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		asNobody(t, func() {
			if got := probe(); got != writersUnknown {
				t.Errorf("of another user's file: %v, want writersUnknown", got)
			}
		})
	}
	// The lease was let go of: a writer that does not wait gets in.
	w, err = os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("a writer after the probe: %v", err)
	}
	_ = w.Close()
}

func TestADirectoryThatCannotBeReadDoesNotEndTheWalk(t *testing.T) {
	t.Parallel()
	tree := openTree(t)
	openToAll(t, tree.Dir())
	put(t, tree.Dir(), storyA+"/closed/a.txt")
	put(t, tree.Dir(), storyA+"/unsearchable/a.txt")
	put(t, tree.Dir(), storyB+"/open.txt")
	chmod(t, filepath.Join(tree.Dir(), storyA, "closed"), 0)
	chmod(t, filepath.Join(tree.Dir(), storyA, "unsearchable"), 0o444)
	asNobody(t, func() {
		var files []string
		unreadable := make(map[string]error)
		err := tree.Walk(t.Context(), Rules{}, func(e Entry) error {
			if e.Err != nil {
				unreadable[e.Name] = e.Err
			} else {
				files = append(files, e.Name)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if len(files) != 1 || files[0] != storyB+"/open.txt" {
			t.Errorf("files %q, want the one that can be read", files)
		}
		for _, name := range []string{storyA + "/closed/", storyA + "/unsearchable/"} {
			if !errors.Is(unreadable[name], fs.ErrPermission) {
				t.Errorf("%s: %v, want a permission error", name, unreadable[name])
			}
		}
		ignored, err := tree.Ignored(t.Context(), Rules{}, 10)
		if err != nil || len(ignored) != 2 {
			t.Errorf("Ignored = %v, %v, want both directories", ignored, err)
		}
	})
}

func TestOpenTreeOfAnUnreadableDirectorySaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openToAll(t, dir)
	dir = filepath.Join(dir, "output")
	mkdir(t, dir)
	chmod(t, dir, 0)
	asNobody(t, func() {
		_, err := OpenTree(dir)
		if !errors.Is(err, ErrDirMissing) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("OpenTree = %v, want ErrDirMissing and the permission", err)
		}
	})
}

// What is made in a directory while it cannot be read is found soon after it can be, and the status says so meanwhile.
func TestADirectoryThatWasUnreadableForAMoment(t *testing.T) {
	t.Parallel()
	for _, events := range []bool{false, true} {
		t.Run(fmt.Sprint("events ", events), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			openToAll(t, filepath.Dir(e.dir))
			openToAll(t, e.dir)
			closed, name := e.path(storyA+"/audio"), storyA+"/audio/story.mp3"
			e.write(storyB+"/open.txt", "x")
			mkdir(t, closed)
			var n notifier
			if events {
				var err error
				if n, err = openNotifier(); err != nil {
					t.Fatal(err)
				}
				defer n.Close()
			}
			s := e.w.newSession(n)
			if err := s.scan(t.Context()); err != nil || len(e.w.Problems()) > 0 {
				t.Fatalf("scan = %v, problems %v", err, e.w.Problems())
			}
			chmod(t, closed, 0)
			e.write(name, "x")
			asNobody(t, func() {
				if events {
					_ = s.event(t.Context(), fsnotify.Event{Name: e.path(name), Op: fsnotify.Create})
				} else {
					_ = s.scan(t.Context())
				}
				if p, ok := e.problem(problemDirUnreadable); !ok || !strings.Contains(p.Message, storyA+"/audio/") {
					t.Errorf("problem %+v, want one that names the directory", p)
				}
				s.retryUnreadable(t.Context())
				if _, ok := e.problem(problemDirUnreadable); !ok {
					t.Error("the problem is over while the directory cannot be read")
				}
			})
			chmod(t, closed, 0o755)
			asNobody(t, func() { s.retryUnreadable(t.Context()) })
			if _, settles := e.w.Settling(storyA)[codestory.Path(name)]; !settles || len(e.w.Problems()) > 0 {
				t.Errorf("it settles: %v, problems %v", settles, e.w.Problems())
			}
		})
	}
}
