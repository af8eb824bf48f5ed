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

func (r *rig) faulty() *faults {
	f := &faults{inject: make(chan error), end: make(chan struct{})}
	real := r.w.notify
	r.w.notify = func() (notifier, error) {
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
	r := newRig(t)
	f := r.faulty()
	r.write(storyA+"/a/sub/old.txt", "x")
	r.start()
	r.arrives(storyA + "/a/sub/old.txt")
	f.lose.Store(true)
	r.write(storyA+"/a/sub/lost.txt", "x")
	rename(t, r.path(storyA+"/a"), r.path(storyA+"/b"))
	if err := os.RemoveAll(r.path(storyB)); err != nil {
		t.Fatal(err)
	}
	first := *r.w.Status().LastScan
	f.inject <- fsnotify.ErrEventOverflow
	r.wait("a scan", func() bool { return r.w.Status().LastScan.After(first) })
	f.lose.Store(false)
	r.arrives(storyA + "/b/sub/lost.txt")
	// Although the rename was never heard of, what is below is watched under its new name.
	r.write(storyA+"/b/sub/new.txt", "x")
	r.arrives(storyA + "/b/sub/new.txt")
	r.wait("the problem to be over", func() bool { return len(r.w.Problems()) == 0 })
	if got := r.sink.of(storyA + "/a/sub/lost.txt"); len(got) > 0 {
		t.Errorf("a file that is not there was handed on: %v", got)
	}
}

func TestWithoutWatchesItPolls(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.w.pollEvery = 20 * time.Millisecond
	f := r.faulty()
	var full error = syscall.ENOSPC
	f.add.Store(&full)
	r.write(storyA+"/a.txt", "x")
	r.start()
	if status := r.w.Status(); status.Mode != "polling" || status.Directories != 1 {
		t.Errorf("Status = %+v, want polling, and the root watched", status)
	}
	problem, ok := r.problem(problemWatchLimit)
	if !ok || runtime.GOOS == "linux" && !strings.Contains(problem.Message, "fs.inotify.max_user_watches") {
		t.Errorf("problem %+v, want one that names the sysctl", problem)
	}
	r.write(storyA+"/b.txt", "x")
	r.arrives(storyA + "/b.txt")
	f.add.Store(nil)
	r.wait("events", func() bool { return r.w.Status().Mode == "events" })
	r.wait("the problem to be over", func() bool { return len(r.w.Problems()) == 0 })
	if n := r.log.count("level=WARN"); n != 1 {
		t.Errorf("logged %d warnings, want 1: %q", n, r.log.lines)
	}
	// A new directory that cannot be watched shortens the time to the next scan, whatever it was.
	f.add.Store(&full)
	r.write(storyB+"/c.txt", "x")
	r.arrives(storyB + "/c.txt")
	r.wait("polling", func() bool { return r.w.Status().Mode == "polling" })
	r.write(storyB+"/d.txt", "x")
	r.arrives(storyB + "/d.txt")
}

func TestWithoutANotifierItPolls(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.w.pollEvery = 20 * time.Millisecond
	f := r.faulty()
	var none error = syscall.EMFILE
	f.open.Store(&none)
	r.start()
	if _, ok := r.problem(problemWatchLimit); !ok || r.w.Status().Mode != "polling" {
		t.Errorf("Status = %+v, problems %v, want polling and why", r.w.Status(), r.w.Problems())
	}
	r.write(storyA+"/a.txt", "x")
	r.arrives(storyA + "/a.txt")
	f.open.Store(nil)
	r.wait("events", func() bool { return r.w.Status().Mode == "events" && len(r.w.Problems()) == 0 })
	r.write(storyA+"/b.txt", "x")
	r.arrives(storyA + "/b.txt")
	if n := r.log.count("level=WARN"); n != 1 {
		t.Errorf("logged %d warnings, want 1: %q", n, r.log.lines)
	}
}

func TestEventsThatEndAreAskedForAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.faulty()
	r.start()
	f.end <- struct{}{}
	r.wait("the problem", func() bool { return r.log.count(problemEventsLost) > 0 })
	r.write(storyA+"/a.txt", "x")
	r.arrives(storyA + "/a.txt")
	r.wait("the problem to be over", func() bool { return len(r.w.Problems()) == 0 })
	r.write(storyA+"/b.txt", "x")
	r.arrives(storyA + "/b.txt")
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
			r := newRig(t)
			r.write(storyA+"/a.txt", "x")
			r.start()
			r.arrives(storyA + "/a.txt")
			c.away(t, r.dir)
			r.wait("the problem", func() bool { _, is := r.problem(problemDirMissing); return is })
			if status := r.w.Status(); status.Mode != "polling" || status.Directories != 0 || status.LastScan == nil {
				t.Errorf("Status = %+v while the directory is gone", status)
			}
			if _, err := os.Lstat(r.dir); err == nil {
				t.Error("the directory was made again")
			}
			r.write(storyB+"/b.txt", "x")
			r.arrives(storyB + "/b.txt")
			r.wait("the problem to be over", func() bool { return len(r.w.Problems()) == 0 })
			r.write(storyB+"/c.txt", "x")
			r.arrives(storyB + "/c.txt")
			if n := r.log.count("code=" + problemDirMissing); n != 2 {
				t.Errorf("logged %d times, want the beginning and the end: %q", n, r.log.lines)
			}
		})
	}
}

func TestAnotherDirectoryInItsPlaceIsWatched(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write(storyA+"/a.txt", "x")
	r.start()
	r.arrives(storyA + "/a.txt")
	other := r.dir + ".other"
	put(t, other, storyB+"/b.txt")
	rename(t, r.dir, r.dir+".away")
	rename(t, other, r.dir)
	r.arrives(storyB + "/b.txt")
	r.write(storyB+"/c.txt", "x")
	r.arrives(storyB + "/c.txt")
	if _, err := r.tree.Stat(storyB + "/c.txt"); err != nil {
		t.Error(err)
	}
}
