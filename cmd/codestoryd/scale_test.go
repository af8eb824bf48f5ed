package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// scale is how many files the tests of large trees have. With 1,000,000 they take some minutes, 5 GB of disk below
// TMPDIR, and a million inotify watches would be too many: there are 100 files to a directory.
var scale = flag.Int("scale", 2000, "files in the tests of large trees")

const filesInStory = 100

// localDestination is the embedded store of a data directory, as the index calls it.
func localDestination(dataDir string) string {
	return remote.Info{Kind: "local", Endpoint: filepath.Join(dataDir, storeFolder)}.Destination()
}

// makeTree makes n files of one byte, and calls settled with each hundred of them.
func makeTree(t *testing.T, dir string, n int, settled func([]queue.Change)) {
	t.Helper()
	tree, err := watch.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	for made, s := 0, 0; made < n; s++ {
		id := codestory.StoryID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", s))
		if err := os.MkdirAll(filepath.Join(dir, string(id), "chapters"), 0o777); err != nil {
			t.Fatal(err)
		}
		var changes []queue.Change
		for c := 1; c <= filesInStory && made < n; c++ {
			path := codestory.ChapterPath(id, c)
			if err := os.WriteFile(filepath.Join(dir, string(path)), []byte{'x'}, 0o666); err != nil {
				t.Fatal(err)
			}
			version, err := tree.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			changes = append(changes, queue.Change{Path: string(path), Version: version})
			made++
		}
		settled(changes)
	}
}

// seed fills the database of m with its tree: as stored, or as waiting.
func seed(t *testing.T, m *machine, n int, stored bool) {
	t.Helper()
	q, err := queue.Open(filepath.Join(m.dataDir, databaseFile), localDestination(m.dataDir), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	batch := []queue.Change{}
	flush := func() {
		if err := q.Enqueue(batch); err != nil {
			t.Fatal(err)
		}
		if stored {
			settleAll(t, q)
		}
		batch = batch[:0]
	}
	makeTree(t, m.dir, n, func(changes []queue.Change) {
		if batch = append(batch, changes...); len(batch) >= 10_000 {
			flush()
		}
	})
	flush()
}

// settleAll records everything that waits as stored.
func settleAll(t *testing.T, q *queue.Queue) {
	t.Helper()
	stats, err := q.Stats()
	if err != nil {
		t.Fatal(err)
	}
	ctx, done := context.WithCancel(t.Context())
	defer done()
	left := make(chan struct{}, stats.Queued)
	for range stats.Queued {
		left <- struct{}{}
	}
	close(left)
	var workers sync.WaitGroup
	for range 512 { // so that many share one sync of the disk
		workers.Go(func() {
			for range left {
				claim, err := q.Next(ctx)
				if err == nil {
					err = claim.Finish(queue.Outcome{Kind: queue.Done, Object: queue.Stored{Size: 1, ETag: "9dd4e461268c8034f5c8564e155c67a6", MD5: "9dd4e461268c8034f5c8564e155c67a6"}})
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
}

// anonymous is the RssAnon of the process in MiB, 0 where the system does not tell.
func anonymous(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kib / 1024
		}
	}
	return 0
}

// TestScaleKnown: where all of a large tree is stored already, a start finds nothing to do.
func TestScaleKnown(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it makes many thousand files")
	}
	m := newMachine(t)
	seed(t, m, *scale, true)
	find := time.Duration(0)
	if runtime.GOOS == "linux" {
		begun := time.Now()
		if err := exec.Command("find", m.dir, "-type", "f", "-printf", "%s %T@\n").Run(); err != nil {
			t.Fatal(err)
		}
		find = time.Since(begun)
	}
	begun := time.Now()
	m.start()
	ready := time.Since(begun)
	most := 0
	s := m.awaitFor(10*time.Minute, "the scan to end", func(s codestory.Status) bool {
		most = max(most, anonymous(t, *s.PID))
		return s.Watch.LastScan != nil
	})
	scanned := s.Watch.LastScan.Sub(begun)
	if s.Synced.Files != int64(*scale) || s.Queue.Queued+s.Queue.Uploading+s.Queue.Retrying > 0 {
		t.Errorf("after the scan %d of %d files are synced, and the queue is %+v", s.Synced.Files, *scale, s.Queue)
	}
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d files known: find %v, ready after %v, scanned after %v (%.1f times find), at most %d MiB anonymous",
		*scale, find, ready, scanned, scanned.Seconds()/find.Seconds(), most)
}

// TestScaleWaiting: a long queue neither delays the status nor the first upload.
func TestScaleWaiting(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it makes many thousand files")
	}
	m := newMachine(t)
	seed(t, m, *scale, false)
	offline := timed(t, m, 3)
	begun := time.Now()
	m.start()
	ready, most := time.Since(begun), 0
	m.awaitFor(10*time.Minute, "the first upload", func(s codestory.Status) bool {
		most = max(most, anonymous(t, *s.PID))
		return s.Synced.Files > 0
	})
	first := time.Since(begun)
	online := timed(t, m, 0)
	s := m.status()
	if got := s.Queue.Queued + s.Queue.Uploading + s.Queue.Retrying + s.Synced.Files; got != int64(*scale) {
		t.Errorf("%d files are known, want %d: %+v", got, *scale, s.Queue)
	}
	most = max(most, anonymous(t, *s.PID))
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d files waiting: ready after %v, first upload after %v, status in %v (%v with the daemon down), at most %d MiB anonymous",
		*scale, ready, first, online, offline, most)
}

// timed runs the command status, and returns how long it took.
func timed(t *testing.T, m *machine, code int) time.Duration {
	t.Helper()
	cmd := exec.Command(os.Args[0], "status", "--json", "--data-dir", m.dataDir, "--dir", m.dir)
	cmd.Env = []string{asDaemon + "=1", "HOME=" + m.dataDir}
	begun := time.Now()
	err := cmd.Run()
	took := time.Since(begun)
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != code) {
		t.Fatalf("status: %v, want exit code %d", err, code)
	}
	return took
}
