package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
)

// pieces are what the ten pieces of a file add up to.
var pieces = strings.Repeat("piece ", 10)

func TestAFileIsFinishedWhenItIsClosed(t *testing.T) {
	t.Parallel()
	needLeases(t)
	for _, c := range []struct {
		name string
		make func(t *testing.T, file string)
	}{
		{"written", func(t *testing.T, file string) { write(t, file, pieces) }},
		{"renamed into place", func(t *testing.T, file string) {
			write(t, file+".tmp", pieces)
			rename(t, file+".tmp", file)
		}},
		{"with a modification time of its own", func(t *testing.T, file string) {
			write(t, file+".tmp", pieces)
			at := time.Now().Add(time.Hour)
			if err := os.Chtimes(file+".tmp", at, at); err != nil {
				t.Fatal(err)
			}
			rename(t, file+".tmp", file)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, func(o *Options) { o.Settle = time.Hour })
			name := storyA + "/audio/story.mp3"
			mkdir(t, filepath.Dir(e.path(name)))
			e.start()
			c.make(t, e.path(name))
			e.arrives(name)
			e.wait("all of it", func() bool {
				got := e.sink.of(name)
				return got[len(got)-1].Version.Size == int64(len(pieces))
			})
		})
	}
}

func TestAFileThatIsHeldOpenIsFinishedOnceItIsClosed(t *testing.T) {
	t.Parallel()
	needLeases(t)
	e := newEnv(t)
	name := storyA + "/audio/story.mp3"
	e.write(storyA+"/audio/other.mp3", "x")
	e.start()
	e.arrives(storyA + "/audio/other.mp3")

	f, err := os.Create(e.path(name))
	if err != nil {
		t.Fatal(err)
	}
	pause := time.NewTicker(2 * settle)
	defer pause.Stop()
	for range 10 {
		if _, err := f.WriteString("piece "); err != nil {
			t.Fatal(err)
		}
		<-pause.C // only the lease tells that it is not finished
		e.wait("the writer to be noticed", func() bool {
			return e.w.Settling(storyA)[codestory.Path(name)] == reasonHeld
		})
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	c := e.arrives(name)
	e.quiet()
	if n := len(e.sink.of(name)); n != 1 || c.Version.Size != int64(len(pieces)) {
		t.Errorf("handed on %d times, first with %d bytes, want once with %d", n, c.Version.Size, len(pieces))
	}
	if got := e.w.Settling(storyA); len(got) > 0 {
		t.Errorf("Settling = %v afterwards", got)
	}
}

// Tools that copy a file set its times and rights once they have closed it.
func TestAFileWhoseTimesAreSetAfterItsCloseIsFinished(t *testing.T) {
	t.Parallel()
	needLeases(t)
	e := newEnv(t, func(o *Options) { o.Settle = time.Hour })
	name := storyA + "/audio/story.mp3"
	e.write(name, "x")
	e.start()
	e.arrives(name)
	at := time.Now().Add(-time.Hour)
	if err := os.Chtimes(e.path(name), at, at); err != nil {
		t.Fatal(err)
	}
	chmod := func(mode os.FileMode) {
		if err := os.Chmod(e.path(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(0o600)
	latest := func() bool {
		v, err := e.tree.Stat(codestory.Path(name))
		got := e.sink.of(name)
		return err == nil && got[len(got)-1].Version == v
	}
	e.wait("the version with the times", latest)
}

// The first close is the end of the file for all one can know. What is written soon after it is one of several pieces.
func TestAFileThatIsOpenedForEachPieceIsHandedOnTwice(t *testing.T) {
	t.Parallel()
	needLeases(t)
	e := newEnv(t, func(o *Options) { o.Settle = time.Second })
	e.start()
	name := storyA + "/audio/story.mp3"
	mkdir(t, filepath.Dir(e.path(name)))
	ticker := time.NewTicker(50 * time.Millisecond) // between pieces, far below Settle
	defer ticker.Stop()
	var slowest time.Duration
	last := time.Now()
	for range 10 {
		appendTo(t, e.path(name), "piece ")
		slowest = max(slowest, time.Since(last))
		last = time.Now()
		<-ticker.C
	}
	e.wait("all of it", func() bool {
		got := e.sink.of(name)
		return len(got) > 0 && got[len(got)-1].Version.Size == int64(len(pieces))
	})
	e.quiet()
	// On a machine that stood still between two pieces the first ones may well have settled.
	if n := len(e.sink.of(name)); n > 2 && slowest < e.w.opts.Settle/2 {
		t.Errorf("handed on %d times, want twice", n)
	}
}

func appendTo(t *testing.T, file, content string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(content)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestAThousandRewritesAreAFew(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes for seconds")
	}
	t.Parallel()
	e := newEnv(t)
	e.start()
	inPlace, renamed := storyA+"/metadata.json", storyB+"/metadata.json"
	mkdir(t, filepath.Dir(e.path(inPlace)))
	mkdir(t, filepath.Dir(e.path(renamed)))
	for i := range 1000 {
		content := fmt.Sprintf("version %04d", i)
		write(t, e.path(inPlace), content)
		write(t, e.path(renamed)+".tmp", content)
		rename(t, e.path(renamed)+".tmp", e.path(renamed))
	}
	for _, name := range []string{inPlace, renamed} {
		v, err := e.tree.Stat(codestory.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		e.wait("the last version", func() bool {
			got := e.sink.of(name)
			return len(got) > 0 && got[len(got)-1].Version == v
		})
		if n := len(e.sink.of(name)); n > 100 {
			t.Errorf("%s was handed on %d times", name, n)
		}
	}
}

func TestWhereNobodyCanTellAFileIsFinishedOnceItIsQuiet(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cannotTell()
	e.start()
	name := storyA + "/cover.jpg"
	begun := time.Now()
	e.write(name, "x")
	e.arrives(name)
	if took := time.Since(begun); took < settle {
		t.Errorf("handed on after %v, want at least %v", took, settle)
	}
}

// bubble runs the part of a watcher that settles files in a bubble of time, on a file in a real directory. The file's
// own times are of the real clock, which is ahead of the bubble's.
func bubble(t *testing.T, settle time.Duration, f func(e *env, name string)) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "output")
	name := storyA + "/audio/story.mp3"
	put(t, dir, name)
	tree, err := OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		e := &env{t: t, dir: tree.Dir(), tree: tree, sink: newSink(), log: &logRecorder{}}
		e.w = New(tree, e.sink, Options{Settle: settle})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.w.finishFiles(ctx) }()
		f(e, name)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// seen lets the watcher know of the file as an event does.
func (e *env) seen(name string) {
	e.t.Helper()
	v, err := e.tree.Stat(codestory.Path(name))
	if err != nil {
		e.t.Fatal(err)
	}
	e.w.settling.add(Change{Name: name, Path: codestory.Path(name), Version: v})
}

func TestAFileThatIsHeldOpenIsProbedMoreAndMoreRarely(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes for seconds")
	}
	t.Parallel()
	bubble(t, time.Second, func(e *env, name string) {
		var probes atomic.Int64
		var closed atomic.Bool
		e.w.writersOf = func(f *os.File) (writers, os.FileInfo, error) {
			probes.Add(1)
			info, err := f.Stat()
			if closed.Load() {
				return writersNone, info, err
			}
			return writersSome, info, err
		}
		e.seen(name)
		time.Sleep(4 * time.Millisecond)
		if n := probes.Load(); n < 5 {
			e.t.Errorf("%d probes in the first 4 ms, want more than one in each", n)
		}
		time.Sleep(time.Hour)
		if n := probes.Load(); n > int64(time.Hour/longestProbe)+100 {
			e.t.Errorf("%d probes in an hour in which nothing happened", n)
		}
		// The last write, and the close soon after it.
		probes.Store(0)
		e.seen(name)
		time.Sleep(3 * time.Millisecond)
		closed.Store(true)
		time.Sleep(10 * time.Millisecond)
		if got := e.sink.of(name); len(got) != 1 {
			e.t.Errorf("handed on %d times within 10 ms of the close, want once", len(got))
		}
	})
}

// A file that has to be quiet is finished that long after its last event, not after the look that found it changed.
func TestQuietBeginsWithTheLastEvent(t *testing.T) {
	t.Parallel()
	bubble(t, time.Second, func(e *env, name string) {
		e.cannotTell()
		begun := time.Now()
		for i := range 15 { // past the first look that is due
			write(e.t, e.path(name), strings.Repeat("x", 1000+i))
			e.seen(name)
			time.Sleep(time.Second / 10)
		}
		last := time.Now().Add(-time.Second / 10)
		synctest.Wait()
		for len(e.sink.of(name)) == 0 && time.Since(begun) < time.Minute {
			time.Sleep(time.Millisecond)
		}
		if quiet := time.Since(last); quiet < time.Second || quiet > time.Second+10*time.Millisecond {
			e.t.Errorf("handed on %v after the last write, want a second", quiet)
		}
	})
}

// A file that is written again before it was ever quiet is finished all the same after a while, but not in the middle
// of a piece.
func TestAFileThatIsWrittenAgainAndAgainIsNotStarved(t *testing.T) {
	t.Parallel()
	bubble(t, time.Second, func(e *env, name string) {
		f, err := os.OpenFile(e.path(name), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			e.t.Fatal(err)
		}
		defer f.Close()
		e.w.writersOf = func(f *os.File) (writers, os.FileInfo, error) {
			info, err := f.Stat()
			return writersNone, info, err
		}
		for range 600 {
			if _, err := io.WriteString(f, "x"); err != nil {
				e.t.Fatal(err)
			}
			e.seen(name)
			time.Sleep(time.Second / 10)
		}
		time.Sleep(2 * time.Second)
		got := e.sink.of(name)
		if len(got) < 3 || len(got) > 8 || got[len(got)-1].Version.Size != int64(len(name))+600 {
			e.t.Errorf("handed on %d times in a minute, last %v, want a few times and the end of it", len(got), got[len(got)-1])
		}
	})
}
