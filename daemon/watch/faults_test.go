package watch

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// faultyNotifier loses events and refuses watches while it is told to.
type faultyNotifier struct {
	notifier
	faults  *faults
	events  chan fsnotify.Event
	errors  chan error
	forward sync.WaitGroup
}

type faults struct {
	open   atomic.Pointer[error] // of making a notifier
	add    atomic.Pointer[error] // of watching anything but the root
	lose   atomic.Bool           // every event
	inject chan error            // comes as an error of the notifier
	end    chan struct{}         // ends the events of one notifier each time it is received from
}

func (e *env) faulty() *faults {
	f := &faults{inject: make(chan error), end: make(chan struct{})}
	real := e.w.notify
	e.w.notify = func() (notifier, error) {
		if err := f.open.Load(); err != nil {
			return nil, *err
		}
		n, err := real()
		if err != nil {
			return nil, err
		}
		fn := &faultyNotifier{notifier: n, faults: f, events: make(chan fsnotify.Event), errors: make(chan error)}
		fn.forward.Go(fn.pump)
		return fn, nil
	}
	return f
}

func (n *faultyNotifier) pump() {
	defer close(n.events)
	for {
		select {
		case <-n.faults.end:
			return
		case err := <-n.faults.inject:
			n.errors <- err
		case event, ok := <-n.notifier.Events():
			if !ok {
				return
			}
			if !n.faults.lose.Load() {
				n.events <- event
			}
		}
	}
}

func (n *faultyNotifier) Add(dir string) error {
	if err := n.faults.add.Load(); err != nil && strings.Contains(filepath.Base(dir), "-") {
		return *err
	}
	return n.notifier.Add(dir)
}

func (n *faultyNotifier) Events() <-chan fsnotify.Event { return n.events }
func (n *faultyNotifier) Errors() <-chan error          { return n.errors }

func (n *faultyNotifier) Close() error {
	err := n.notifier.Close()
	n.forward.Wait()
	return err
}

func TestLostEventsAreMadeUpForByAScan(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	f := e.faulty()
	e.write(storyA+"/a/sub/old.txt", "x")
	e.start()
	e.arrives(storyA + "/a/sub/old.txt")
	f.lose.Store(true)
	e.write(storyA+"/a/sub/lost.txt", "x")
	rename(t, e.path(storyA+"/a"), e.path(storyA+"/b"))
	if err := os.RemoveAll(e.path(storyB)); err != nil {
		t.Fatal(err)
	}
	first := *e.w.Status().LastScan
	f.inject <- fsnotify.ErrEventOverflow
	e.wait("a scan", func() bool { return e.w.Status().LastScan.After(first) })
	f.lose.Store(false)
	e.arrives(storyA + "/b/sub/lost.txt")
	// Although the rename was never heard of, what is below is watched under its new name.
	e.write(storyA+"/b/sub/new.txt", "x")
	e.arrives(storyA + "/b/sub/new.txt")
	e.wait("the problem to be over", func() bool { return len(e.w.Problems()) == 0 })
	if got := e.sink.of(storyA + "/a/sub/lost.txt"); len(got) > 0 {
		t.Errorf("a file that is not there was handed on: %v", got)
	}
}

func TestWithoutWatchesItPolls(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.w.pollEvery = 20 * time.Millisecond
	f := e.faulty()
	var full error = syscall.ENOSPC
	f.add.Store(&full)
	e.write(storyA+"/a.txt", "x")
	e.start()
	if status := e.w.Status(); status.Mode != "polling" || status.Directories != 1 {
		t.Errorf("Status = %+v, want polling, and the root watched", status)
	}
	problem, ok := e.problem(problemWatchLimit)
	if !ok || runtime.GOOS == "linux" && !strings.Contains(problem.Message, "fs.inotify.max_user_watches") {
		t.Errorf("problem %+v, want one that names the sysctl", problem)
	}
	e.write(storyA+"/b.txt", "x")
	e.arrives(storyA + "/b.txt")
	f.add.Store(nil)
	e.wait("events", func() bool { return e.w.Status().Mode == "events" })
	e.wait("the problem to be over", func() bool { return len(e.w.Problems()) == 0 })
	if n := e.log.count("level=WARN"); n != 1 {
		t.Errorf("logged %d warnings, want 1: %q", n, e.log.lines)
	}
	// A new directory that cannot be watched shortens the time to the next scan, whatever it was.
	f.add.Store(&full)
	e.write(storyB+"/c.txt", "x")
	e.arrives(storyB + "/c.txt")
	e.wait("polling", func() bool { return e.w.Status().Mode == "polling" })
	e.write(storyB+"/d.txt", "x")
	e.arrives(storyB + "/d.txt")
}

func TestWithoutANotifierItPolls(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.w.pollEvery = 20 * time.Millisecond
	f := e.faulty()
	var none error = syscall.EMFILE
	f.open.Store(&none)
	e.start()
	if _, ok := e.problem(problemWatchLimit); !ok || e.w.Status().Mode != "polling" {
		t.Errorf("Status = %+v, problems %v, want polling and why", e.w.Status(), e.w.Problems())
	}
	e.write(storyA+"/a.txt", "x")
	e.arrives(storyA + "/a.txt")
	f.open.Store(nil)
	e.wait("events", func() bool { return e.w.Status().Mode == "events" && len(e.w.Problems()) == 0 })
	e.write(storyA+"/b.txt", "x")
	e.arrives(storyA + "/b.txt")
	if n := e.log.count("level=WARN"); n != 1 {
		t.Errorf("logged %d warnings, want 1: %q", n, e.log.lines)
	}
}

func TestEventsThatEndAreAskedForAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	f := e.faulty()
	e.start()
	f.end <- struct{}{}
	e.wait("the problem", func() bool { return e.log.count(problemEventsLost) > 0 })
	e.write(storyA+"/a.txt", "x")
	e.arrives(storyA + "/a.txt")
	e.wait("the problem to be over", func() bool { return len(e.w.Problems()) == 0 })
	e.write(storyA+"/b.txt", "x")
	e.arrives(storyA + "/b.txt")
}

func TestTheDirectoryGoesAndComesBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		away func(t *testing.T, dir string)
	}{
		{"removed", func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}},
		{"moved away", func(t *testing.T, dir string) { rename(t, dir, dir+".away") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.write(storyA+"/a.txt", "x")
			e.start()
			e.arrives(storyA + "/a.txt")
			c.away(t, e.dir)
			e.wait("the problem", func() bool { _, is := e.problem(problemDirMissing); return is })
			if status := e.w.Status(); status.Mode != "polling" || status.Directories != 0 || status.LastScan == nil {
				t.Errorf("Status = %+v while the directory is gone", status)
			}
			if _, err := os.Lstat(e.dir); err == nil {
				t.Error("the directory was made again")
			}
			e.write(storyB+"/b.txt", "x")
			e.arrives(storyB + "/b.txt")
			e.wait("the problem to be over", func() bool { return len(e.w.Problems()) == 0 })
			e.write(storyB+"/c.txt", "x")
			e.arrives(storyB + "/c.txt")
			if n := e.log.count("code=" + problemDirMissing); n != 2 {
				t.Errorf("logged %d times, want the beginning and the end: %q", n, e.log.lines)
			}
		})
	}
}

func TestAnotherDirectoryInItsPlaceIsWatched(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.write(storyA+"/a.txt", "x")
	e.start()
	e.arrives(storyA + "/a.txt")
	other := e.dir + ".other"
	put(t, other, storyB+"/b.txt")
	rename(t, e.dir, e.dir+".away")
	rename(t, other, e.dir)
	e.arrives(storyB + "/b.txt")
	e.write(storyB+"/c.txt", "x")
	e.arrives(storyB + "/c.txt")
	if _, err := e.tree.Stat(storyB + "/c.txt"); err != nil {
		t.Error(err)
	}
}
