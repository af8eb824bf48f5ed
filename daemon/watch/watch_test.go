package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

func TestWhatIsThereIsScannedAndHandedOnOnce(t *testing.T) {
	t.Parallel()
	e := newEnv(t, func(o *Options) { o.Rules = clutterRules() })
	files, ignored := clutter(t, e.dir)
	e.start()
	for _, name := range files {
		c := e.arrives(name)
		if v, err := e.tree.Stat(c.Path); err != nil || v != c.Version || string(c.Path) != name || c.Fault != nil {
			t.Errorf("%s was handed on as %+v, want version %v, %v", name, c, v, err)
		}
	}
	// The same again through events.
	for name, reason := range ignored {
		name = strings.Replace(name, storyA, storyB, 1)
		if reason == "symlink" {
			symlink(t, "cover.jpg", e.path(name))
		} else {
			put(t, e.dir, name)
		}
	}
	e.quiet()
	for name, n := range e.sink.names() {
		if strings.Contains(name, "barrier") {
			continue
		}
		if !slices.Contains(files, name) || n != 1 {
			t.Errorf("%s was handed on %d times", name, n)
		}
	}
	// The root, two stories, audio in both, notes and notes/deep.
	e.wait("seven directories", func() bool { return e.w.Status().Directories == 7 })
	if mode := e.w.Status().Mode; mode != "events" {
		t.Errorf("mode = %s, want events", mode)
	}
	if problems := e.w.Problems(); len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	if e.log.count("") > 0 {
		t.Errorf("a healthy watcher logged %q", e.log.lines)
	}
}

func TestWhatTheSinkKnowsIsNotHandedOn(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.write(storyA+"/known.txt", "x")
	e.write(storyA+"/changed.txt", "x")
	v, err := e.tree.Stat(storyA + "/known.txt")
	if err != nil {
		t.Fatal(err)
	}
	e.sink.known[storyA+"/known.txt"] = v
	e.sink.known[storyA+"/changed.txt"] = v
	e.start()
	e.arrives(storyA + "/changed.txt")
	e.quiet()
	if got := e.sink.of(storyA + "/known.txt"); len(got) > 0 {
		t.Errorf("handed on all the same: %v", got)
	}
}

func TestWhatTheSinkLearnsMeanwhileIsNotHandedOn(t *testing.T) {
	t.Parallel()
	e := newEnv(t, func(o *Options) { o.Settle = time.Second })
	e.cannotTell()
	e.start()
	name := storyA + "/cover.jpg"
	e.write(name, "x")
	e.wait("it to settle", func() bool { return len(e.w.Settling(storyA)) == 1 })
	v, err := e.tree.Stat(codestory.Path(name))
	if err != nil {
		t.Fatal(err)
	}
	e.sink.mu.Lock()
	e.sink.known[name] = v
	e.sink.mu.Unlock()
	e.wait("nothing to settle", func() bool { return e.w.settling.len() == 0 })
	if got := e.sink.of(name); len(got) > 0 {
		t.Errorf("handed on all the same: %v", got)
	}
}

func TestAChangeWhileTheFileIsHandedOnIsNotLost(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	name := storyA + "/cover.jpg"
	var once sync.Once
	e.sink.during = func() {
		once.Do(func() {
			write(t, e.path(name), "longer")
			e.wait("the event", func() bool {
				e.w.settling.mu.Lock()
				defer e.w.settling.mu.Unlock()
				return e.w.settling.files[name].touched
			})
		})
	}
	e.start()
	e.write(name, "x")
	e.wait("both versions", func() bool { return len(e.sink.of(name)) == 2 })
	if got := e.sink.of(name)[1].Version.Size; got != int64(len("longer")) {
		t.Errorf("the second version has %d bytes", got)
	}
}

func TestNamesThatCannotBeKeysAreHandedOnWithTheirFault(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.start()
	long := storyA + strings.Repeat("/"+strings.Repeat("d", 200), 5) + "/x.txt"
	invalid := storyA + "/caf\xe9.mp3"
	e.write(long, "x")
	if err := os.WriteFile(e.path(invalid), []byte("x"), 0o644); err != nil {
		t.Skipf("the file system takes no such name: %v", err)
	}
	names := []string{long, invalid}
	if runtime.GOOS != "windows" {
		for _, odd := range []string{`/chapters/one\two.mp3`, "/audio/a\nb.mp3"} {
			e.write(storyA+odd, "x")
			names = append(names, storyA+odd)
		}
	}
	for _, name := range names {
		c := e.arrives(name)
		if c.Fault == nil || c.Fault.Fault != codestory.PathUnstorable || c.Path != "" || c.Version.Size != 1 {
			t.Errorf("%q was handed on as %+v", name, c)
		}
	}
}

func TestOddModificationTimesDoNotHoldAFileUp(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.write(storyA+"/before-future.txt", "x")
	e.write(storyA+"/before-past.txt", "x")
	e.start()
	e.write(storyA+"/after-future.txt", "x")
	e.write(storyA+"/after-past.txt", "x")
	for name, shift := range map[string]time.Duration{
		"before-future.txt": time.Hour, "after-future.txt": 1e5 * time.Hour,
		"before-past.txt": -time.Hour, "after-past.txt": -1e5 * time.Hour,
	} {
		at := time.Now().Add(shift)
		if err := os.Chtimes(e.path(storyA+"/"+name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"before-future.txt", "before-past.txt", "after-future.txt", "after-past.txt"} {
		e.wait(name, func() bool {
			v, err := e.tree.Stat(codestory.Path(storyA + "/" + name))
			got := e.sink.of(storyA + "/" + name)
			return err == nil && len(got) > 0 && got[len(got)-1].Version == v
		})
	}
}

// A folder that is made and filled at once: everything in it arrives, though most of it was there before the folder
// could be watched.
func TestABurstInNewFoldersArrives(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.start()
	want := make(map[string]bool)
	for i := range 200 {
		story := fmt.Sprintf("%08x-7d5a-4a63-9a2b-0f6f0d5c1a11", i)
		for n := range 10 {
			name := string(codestory.ChapterPath(codestory.StoryID(story), n+1))
			e.write(name, "chapter")
			want[name] = true
		}
	}
	e.wait("2,000 files", func() bool { return len(e.sink.names()) == len(want) })
	e.quiet()
	for name, n := range e.sink.names() {
		if n != 1 {
			t.Errorf("%s was handed on %d times", name, n)
		}
	}
	if e.sink.largest > max(finishedBatch, scanBatch) {
		t.Errorf("a call with %d changes", e.sink.largest)
	}
	// The root, 200 stories with their chapters, and the barrier's story.
	e.wait("402 directories", func() bool { return e.w.Status().Directories == 402 })
}

func TestFoldersAndFilesThatAreMoved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		from string // below the output directory, or outside of it where it begins with ".."
		to   string
		file string // below from, then below to
	}{
		{"a story moved in", "../staging/" + storyA, storyA, "chapters/chapter_01.mp3"},
		{"a story moved in from an ignored folder", "staging/" + storyA, storyA, "chapters/chapter_01.mp3"},
		{"a story renamed", storyB, storyA, "chapters/chapter_01.mp3"},
		{"a folder renamed", storyA + "/a/b", storyA + "/c", "d/e.txt"},
		{"a folder that was a leftover", storyA + "/x.part", storyA + "/x", "d/e.txt"},
		{"a file that was a leftover", storyA + "/audio/story.mp3.tmp", storyA + "/audio/story.mp3", ""},
		{"a file moved in", "../story.mp3", storyA + "/audio/story.mp3", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			mkdir(t, filepath.Dir(e.path(c.to)))
			e.write(filepath.ToSlash(filepath.Join(c.from, c.file)), "x")
			e.start()
			e.quiet()
			before := e.sink.names()
			rename(t, e.path(c.from), e.path(c.to))
			name := strings.TrimSuffix(c.to+"/"+c.file, "/")
			e.arrives(name)
			if c.file == "" {
				return
			}
			// It is watched under its new name only, with what is below it.
			e.write(name+".more", "y")
			e.arrives(name + ".more")
			e.write(c.to+"/f/g/h.txt", "z")
			e.arrives(c.to + "/f/g/h.txt")
			for got := range e.sink.names() {
				if _, err := os.Lstat(e.path(got)); err != nil && before[got] == 0 {
					t.Errorf("%s was handed on and is not there", got)
				}
			}
		})
	}
}

func TestDirectoriesThatGoAwayAreNotWatched(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.write(storyA+"/chapters/chapter_01.mp3", "x")
	e.write(storyB+"/a/b/c.txt", "x")
	e.start()
	e.wait("six directories", func() bool { return e.w.Status().Directories == 6 })
	if err := os.RemoveAll(e.path(storyA)); err != nil {
		t.Fatal(err)
	}
	rename(t, e.path(storyB+"/a"), filepath.Join(filepath.Dir(e.dir), "away"))
	e.wait("two directories", func() bool { return e.w.Status().Directories == 2 })
	// The same name again.
	e.write(storyA+"/chapters/chapter_02.mp3", "x")
	e.arrives(storyA + "/chapters/chapter_02.mp3")
	e.write(storyB+"/a/d.txt", "x")
	e.arrives(storyB + "/a/d.txt")
}

func TestAFileThatVanishesIsForgotten(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.start()
	e.write(storyA+"/a.txt", "x")
	e.wait("it to settle", func() bool { return e.w.settling.len() > 0 || len(e.sink.of(storyA+"/a.txt")) > 0 })
	if err := os.Remove(e.path(storyA + "/a.txt")); err != nil {
		t.Fatal(err)
	}
	e.quiet()
}

func TestAChangedFileIsHandedOnAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	name := storyA + "/metadata.json"
	e.write(name, "one")
	e.start()
	e.arrives(name)
	e.write(name, "longer")
	e.wait("the second version", func() bool { return len(e.sink.of(name)) == 2 })
	write(t, e.path(name)+".tmp", "third!")
	rename(t, e.path(name)+".tmp", e.path(name))
	e.wait("the third version", func() bool { return len(e.sink.of(name)) == 3 })
	e.quiet()
	got := e.sink.of(name)
	if len(got) != 3 || got[2].Version.Size != 6 || got[1].Version == got[2].Version {
		t.Errorf("handed on: %+v", got)
	}
}

func TestRecheckHandsOnAKnownVersion(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	name := storyA + "/metadata.json"
	e.write(name, "one")
	e.start()
	first := e.arrives(name)
	e.quiet()
	begun := time.Now()
	e.w.Recheck(codestory.Path(name))
	e.w.Recheck(codestory.Path(storyA + "/not-there.txt"))
	e.wait("it to come again", func() bool { return len(e.sink.of(name)) == 2 })
	if took := time.Since(begun); took < settle {
		t.Errorf("handed on after %v, want at least %v", took, settle)
	}
	first.Again = true
	if again := e.sink.of(name)[1]; again != first {
		t.Errorf("handed on as %+v, then as %+v", first, again)
	}
	e.quiet()
	if n := len(e.sink.of(name)); n != 2 {
		t.Errorf("handed on %d times, want 2", n)
	}
}

func TestASinkThatFailsLosesNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.write(storyA+"/before.txt", "x")
	e.sink.setFail(errors.New("the disk is full"))
	e.run()
	e.wait("the scan to fail", func() bool { _, is := e.problem(problemHandOver); return is })
	for i := range 20 {
		e.write(fmt.Sprintf("%s/%d.txt", storyA, i), "x")
	}
	e.sink.setFail(nil)
	e.wait("the files", func() bool { return len(e.sink.names()) == 21 })

	e.sink.setFail(errors.New("the disk is full again"))
	e.write(storyA+"/later.txt", "x")
	e.wait("the handover to fail", func() bool { _, is := e.problem(problemHandOver); return is })
	e.write(storyA+"/later.txt", "changed")
	e.sink.mu.Lock()
	calls := e.sink.calls
	e.sink.mu.Unlock()
	e.wait("some attempts", func() bool {
		e.sink.mu.Lock()
		defer e.sink.mu.Unlock()
		return e.sink.calls > calls+3
	})
	if problem, _ := e.problem(problemHandOver); !strings.Contains(problem.Message, "disk is full again") {
		t.Errorf("the problem says %q", problem.Message)
	}
	e.sink.setFail(nil)
	c := e.arrives(storyA + "/later.txt")
	if c.Version.Size != int64(len("changed")) {
		t.Errorf("handed on with %d bytes, want the latest version", c.Version.Size)
	}
	e.wait("the problems to be over", func() bool { return len(e.w.Problems()) == 0 })
	for _, part := range []string{
		`level=WARN msg="finished files cannot be recorded: the disk is full again`,
		`level=INFO msg="resolved: finished files cannot be recorded: the disk is full again`,
	} {
		if n := e.log.count(part); n != 1 {
			t.Errorf("logged %d times, want once: %s\n%q", n, part, e.log.lines)
		}
	}
}

func TestTheTimerScans(t *testing.T) {
	t.Parallel()
	e := newEnv(t, func(o *Options) { o.ScanEvery = 20 * time.Millisecond })
	e.start()
	first := *e.w.Status().LastScan
	e.wait("another scan", func() bool { return e.w.Status().LastScan.After(first) })
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("a cause of somebody's own"))
	if err := e.w.Run(ctx); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}
