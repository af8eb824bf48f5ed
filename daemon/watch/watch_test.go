package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

func TestWhatIsThereIsScannedAndHandedOnOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *Options) { o.Rules = clutterRules() })
	files, ignored := clutter(t, r.dir)
	r.start()
	for _, name := range files {
		c := r.arrives(name)
		if v, err := r.tree.Stat(c.Path); err != nil || v != c.Version || string(c.Path) != name || c.Fault != nil {
			t.Errorf("%s was handed on as %+v, want version %v, %v", name, c, v, err)
		}
	}
	// The same again through events.
	for name, reason := range ignored {
		name = strings.Replace(name, storyA, storyB, 1)
		if reason == "symlink" {
			symlink(t, "cover.jpg", r.path(name))
		} else {
			put(t, r.dir, name)
		}
	}
	r.quiet()
	for name, n := range r.sink.names() {
		if strings.Contains(name, "barrier") {
			continue
		}
		if !slices.Contains(files, name) || n != 1 {
			t.Errorf("%s was handed on %d times", name, n)
		}
	}
	// The root, two stories, audio in both, notes and notes/deep.
	r.wait("seven directories", func() bool { return r.w.Status().Directories == 7 })
	if mode := r.w.Status().Mode; mode != "events" {
		t.Errorf("mode = %s, want events", mode)
	}
	if problems := r.w.Problems(); len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	if r.log.count("") > 0 {
		t.Errorf("a healthy watcher logged %q", r.log.lines)
	}
}

func TestWhatTheSinkKnowsIsNotHandedOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write(storyA+"/known.txt", "x")
	r.write(storyA+"/changed.txt", "x")
	v, err := r.tree.Stat(storyA + "/known.txt")
	if err != nil {
		t.Fatal(err)
	}
	r.sink.known[storyA+"/known.txt"] = v
	r.sink.known[storyA+"/changed.txt"] = v
	r.start()
	r.arrives(storyA + "/changed.txt")
	r.quiet()
	if got := r.sink.of(storyA + "/known.txt"); len(got) > 0 {
		t.Errorf("handed on all the same: %v", got)
	}
}

func TestWhatTheSinkLearnsMeanwhileIsNotHandedOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *Options) { o.Settle = time.Second })
	r.cannotTell()
	r.start()
	name := storyA + "/cover.jpg"
	r.write(name, "x")
	r.wait("it to settle", func() bool { return len(r.w.Settling(storyA)) == 1 })
	v, err := r.tree.Stat(codestory.Path(name))
	if err != nil {
		t.Fatal(err)
	}
	r.sink.mu.Lock()
	r.sink.known[name] = v
	r.sink.mu.Unlock()
	r.wait("nothing to settle", func() bool { return r.w.pending.len() == 0 })
	if got := r.sink.of(name); len(got) > 0 {
		t.Errorf("handed on all the same: %v", got)
	}
}

func TestAChangeWhileTheFileIsHandedOnIsNotLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	name := storyA + "/cover.jpg"
	var once sync.Once
	r.sink.during = func() {
		once.Do(func() {
			write(t, r.path(name), "longer")
			r.wait("the event", func() bool {
				r.w.pending.mu.Lock()
				defer r.w.pending.mu.Unlock()
				return r.w.pending.files[name].touches > 0
			})
		})
	}
	r.start()
	r.write(name, "x")
	r.wait("both versions", func() bool { return len(r.sink.of(name)) == 2 })
	if got := r.sink.of(name)[1].Version.Size; got != int64(len("longer")) {
		t.Errorf("the second version has %d bytes", got)
	}
}

func TestNamesThatCannotBeKeysAreHandedOnWithTheirFault(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	long := storyA + strings.Repeat("/"+strings.Repeat("d", 200), 5) + "/x.txt"
	invalid := storyA + "/caf\xe9.mp3"
	r.write(long, "x")
	if err := os.WriteFile(r.path(invalid), []byte("x"), 0o644); err != nil {
		t.Skipf("the file system takes no such name: %v", err)
	}
	for _, name := range []string{long, invalid} {
		c := r.arrives(name)
		if c.Fault == nil || c.Fault.Fault != codestory.PathUnstorable || c.Path != "" || c.Version.Size != 1 {
			t.Errorf("%q was handed on as %+v", name, c)
		}
	}
}

func TestOddModificationTimesDoNotHoldAFileUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write(storyA+"/before-future.txt", "x")
	r.write(storyA+"/before-past.txt", "x")
	r.start()
	r.write(storyA+"/after-future.txt", "x")
	r.write(storyA+"/after-past.txt", "x")
	for name, shift := range map[string]time.Duration{
		"before-future.txt": time.Hour, "after-future.txt": 1e5 * time.Hour,
		"before-past.txt": -time.Hour, "after-past.txt": -1e5 * time.Hour,
	} {
		at := time.Now().Add(shift)
		if err := os.Chtimes(r.path(storyA+"/"+name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"before-future.txt", "before-past.txt", "after-future.txt", "after-past.txt"} {
		r.wait(name, func() bool {
			v, err := r.tree.Stat(codestory.Path(storyA + "/" + name))
			got := r.sink.of(storyA + "/" + name)
			return err == nil && len(got) > 0 && got[len(got)-1].Version == v
		})
	}
}

// A folder that is made and filled at once: everything in it arrives, though most of it was there before the folder
// could be watched.
func TestABurstInNewFoldersArrives(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	want := make(map[string]bool)
	for i := range 200 {
		story := fmt.Sprintf("%08x-7d5a-4a63-9a2b-0f6f0d5c1a11", i)
		for n := range 10 {
			name := string(codestory.ChapterPath(codestory.StoryID(story), n+1))
			r.write(name, "chapter")
			want[name] = true
		}
	}
	r.wait("2,000 files", func() bool { return len(r.sink.names()) == len(want) })
	r.quiet()
	for name, n := range r.sink.names() {
		if n != 1 {
			t.Errorf("%s was handed on %d times", name, n)
		}
	}
	if r.sink.largest > max(maxBatch, foundBatch) {
		t.Errorf("a call with %d changes", r.sink.largest)
	}
	// The root, 200 stories with their chapters, and the barrier's story.
	r.wait("402 directories", func() bool { return r.w.Status().Directories == 402 })
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
			r := newRig(t)
			mkdir(t, filepath.Dir(r.path(c.to)))
			r.write(filepath.ToSlash(filepath.Join(c.from, c.file)), "x")
			r.start()
			r.quiet()
			before := r.sink.names()
			rename(t, r.path(c.from), r.path(c.to))
			name := strings.TrimSuffix(c.to+"/"+c.file, "/")
			r.arrives(name)
			if c.file == "" {
				return
			}
			// It is watched under its new name only, with what is below it.
			r.write(name+".more", "y")
			r.arrives(name + ".more")
			r.write(c.to+"/f/g/h.txt", "z")
			r.arrives(c.to + "/f/g/h.txt")
			for got := range r.sink.names() {
				if _, err := os.Lstat(r.path(got)); err != nil && before[got] == 0 {
					t.Errorf("%s was handed on and is not there", got)
				}
			}
		})
	}
}

func TestDirectoriesThatGoAwayAreNotWatched(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write(storyA+"/chapters/chapter_01.mp3", "x")
	r.write(storyB+"/a/b/c.txt", "x")
	r.start()
	r.wait("six directories", func() bool { return r.w.Status().Directories == 6 })
	if err := os.RemoveAll(r.path(storyA)); err != nil {
		t.Fatal(err)
	}
	rename(t, r.path(storyB+"/a"), filepath.Join(filepath.Dir(r.dir), "away"))
	r.wait("two directories", func() bool { return r.w.Status().Directories == 2 })
	// The same name again.
	r.write(storyA+"/chapters/chapter_02.mp3", "x")
	r.arrives(storyA + "/chapters/chapter_02.mp3")
	r.write(storyB+"/a/d.txt", "x")
	r.arrives(storyB + "/a/d.txt")
}

func TestAFileThatVanishesIsForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	r.write(storyA+"/a.txt", "x")
	r.wait("it to settle", func() bool { return r.w.pending.len() > 0 || len(r.sink.of(storyA+"/a.txt")) > 0 })
	if err := os.Remove(r.path(storyA + "/a.txt")); err != nil {
		t.Fatal(err)
	}
	r.quiet()
}

func TestAChangedFileIsHandedOnAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	name := storyA + "/metadata.json"
	r.write(name, "one")
	r.start()
	r.arrives(name)
	r.write(name, "longer")
	r.wait("the second version", func() bool { return len(r.sink.of(name)) == 2 })
	write(t, r.path(name)+".tmp", "third!")
	rename(t, r.path(name)+".tmp", r.path(name))
	r.wait("the third version", func() bool { return len(r.sink.of(name)) == 3 })
	r.quiet()
	got := r.sink.of(name)
	if len(got) != 3 || got[2].Version.Size != 6 || got[1].Version == got[2].Version {
		t.Errorf("handed on: %+v", got)
	}
}

func TestRecheckHandsOnAKnownVersion(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	name := storyA + "/metadata.json"
	r.write(name, "one")
	r.start()
	first := r.arrives(name)
	r.quiet()
	begun := time.Now()
	r.w.Recheck(codestory.Path(name))
	r.w.Recheck(codestory.Path(storyA + "/not-there.txt"))
	r.wait("it to come again", func() bool { return len(r.sink.of(name)) == 2 })
	if took := time.Since(begun); took < settle {
		t.Errorf("handed on after %v, want at least %v", took, settle)
	}
	if again := r.sink.of(name)[1]; again != first {
		t.Errorf("handed on as %+v, then as %+v", first, again)
	}
	r.quiet()
	if n := len(r.sink.of(name)); n != 2 {
		t.Errorf("handed on %d times, want 2", n)
	}
}

func TestASinkThatFailsLosesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write(storyA+"/before.txt", "x")
	r.sink.setFail(errors.New("the disk is full"))
	r.run()
	r.wait("the scan to fail", func() bool { _, is := r.problem(problemLookUp); return is })
	for i := range 20 {
		r.write(fmt.Sprintf("%s/%d.txt", storyA, i), "x")
	}
	r.sink.setFail(nil)
	r.wait("the files", func() bool { return len(r.sink.names()) == 21 })

	r.sink.setFail(errors.New("the disk is full again"))
	r.write(storyA+"/later.txt", "x")
	r.wait("the handover to fail", func() bool { _, is := r.problem(problemHandOver); return is })
	r.write(storyA+"/later.txt", "changed")
	r.wait("some attempts", func() bool {
		r.sink.mu.Lock()
		defer r.sink.mu.Unlock()
		return r.sink.asked > 3
	})
	if problem, _ := r.problem(problemHandOver); !strings.Contains(problem.Message, "disk is full again") {
		t.Errorf("the problem says %q", problem.Message)
	}
	r.sink.setFail(nil)
	c := r.arrives(storyA + "/later.txt")
	if c.Version.Size != int64(len("changed")) {
		t.Errorf("handed on with %d bytes, want the latest version", c.Version.Size)
	}
	r.wait("the problems to be over", func() bool { return len(r.w.Problems()) == 0 })
	for _, part := range []string{
		`level=WARN msg="finished files cannot be recorded: the disk is full again`,
		`level=INFO msg="resolved: finished files cannot be recorded: the disk is full again`,
	} {
		if n := r.log.count(part); n != 1 {
			t.Errorf("logged %d times, want once: %s\n%q", n, part, r.log.lines)
		}
	}
}

func TestTheTimerScans(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *Options) { o.ScanEvery = 20 * time.Millisecond })
	r.start()
	first := *r.w.Status().LastScan
	r.wait("another scan", func() bool { return r.w.Status().LastScan.After(first) })
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("a cause of somebody's own"))
	if err := r.w.Run(ctx); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}
