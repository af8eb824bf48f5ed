package queue_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/queue/queuetest"
)

// asked is a database in which a person has asked for all that there is to ask for, closed.
func asked(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "codestoryd.db")
	q := openAt(t, path, "a")
	enqueue(t, q,
		change(codestory.ChapterPath(storyA, 1), 1, 10), change(codestory.ChapterPath(storyA, 2), 1, 20),
		change(codestory.ChapterPath(storyB, 1), 1, 30),
		queue.Change{Path: string(storyA) + "/\xff", Version: version(1, 1), Fault: "rename it"})
	must(t, q.Drop(string(codestory.ChapterPath(storyA, 1)), "dropped by request"))
	must(t, q.Drop(string(storyA)+"/\xff", "dropped by request"))
	must(t, q.Drop(string(codestory.ChapterPath(storyB, 1)), "dropped by request"))
	enqueue(t, q, change(codestory.ChapterPath(storyB, 1), 2, 31)) // it changed, and is wanted again
	must(t, q.SignForm(codestory.StoryAudioPath(storyA), time.Now().Add(time.Hour)))
	c := next(t, q)
	must(t, c.Save([]byte("begun")))
	must(t, c.Save([]byte("half done")))
	must(t, q.SetPaused(true))
	must(t, q.Close())
	return path
}

// stillAsked holds a queue that was rebuilt against what asked has asked for.
func stillAsked(t *testing.T, q *queue.Queue) {
	t.Helper()
	ignored, err := q.Ignored(10)
	must(t, err)
	var paths []string
	for _, i := range ignored {
		paths = append(paths, i.Path)
		if i.Reason != "dropped by request" {
			t.Errorf("%q is ignored since %q", i.Path, i.Reason)
		}
	}
	slices.Sort(paths)
	want := []string{string(codestory.ChapterPath(storyA, 1)), string(storyA) + "/\xff"}
	slices.Sort(want)
	if !slices.Equal(paths, want) {
		t.Errorf("ignored are %q, want %q", paths, want)
	}
	if !stats(t, q).Paused {
		t.Error("it is not paused")
	}
	if signed, err := q.FormSigned(codestory.StoryAudioPath(storyA)); err != nil || !signed {
		t.Errorf("the form is forgotten: %v", err)
	}
	must(t, q.SetPaused(false))
	enqueue(t, q, change(codestory.ChapterPath(storyA, 1), 1, 10), change(codestory.ChapterPath(storyA, 2), 1, 20),
		change(codestory.ChapterPath(storyB, 1), 2, 31)) // as the scan finds them
	uploads := 0
	for range 2 {
		c := next(t, q)
		if c.Path == codestory.ChapterPath(storyA, 1) {
			t.Errorf("%s was dropped, and is claimed", c.Path)
		}
		if !c.Lost {
			t.Errorf("%s does not count as lost", c.Path)
		}
		if string(c.State()) == "half done" {
			uploads++
		}
	}
	if uploads != 1 {
		t.Errorf("%d uploads go on", uploads)
	}
	nothingWaits(t, q)
	later := change(codestory.ChapterPath(storyA, 3), time.Now().Add(time.Minute).UnixNano(), 10)
	enqueue(t, q, later)
	if c := next(t, q); c.Lost {
		t.Errorf("%s is newer than the database, and counts as lost", c.Path)
	}
}

func rebuild(t *testing.T, path string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(path, "a", queue.Options{Rebuild: true})
	must(t, err)
	t.Cleanup(func() {
		if err := queue.Invariants(q); err != nil {
			t.Error(err)
		}
		must(t, q.Close())
	})
	return q
}

// TestRebuild: whichever page of the database is noise, either it was not in use or the database is set aside as it was,
// and what a person asked for is in the new one.
func TestRebuild(t *testing.T) {
	t.Parallel()
	sample := asked(t)
	content, beside := read(t, sample), read(t, sample+".kept")
	rng := rand.New(rand.NewPCG(*noiseSeed, 2))
	rebuilt := 0
	for at := 0; at < len(content); at += pageSize {
		path := filepath.Join(t.TempDir(), "codestoryd.db")
		damaged := bytes.Clone(content)
		for i := range pageSize {
			damaged[at+i] = byte(rng.Uint32())
		}
		must(t, os.WriteFile(path, damaged, 0o600))
		must(t, os.WriteFile(path+".kept", beside, 0o600))
		q := rebuild(t, path)
		r := q.Rebuilt()
		if r == nil {
			continue
		}
		rebuilt++
		if !bytes.Equal(read(t, r.Aside), damaged) || r.Reason == "" || r.Unread != 0 {
			t.Errorf("page %d: %+v", at/pageSize, r)
		}
		stillAsked(t, q)
	}
	if rebuilt < 3 {
		t.Errorf("%d pages of %d mattered", rebuilt, len(content)/pageSize)
	}
}

// TestRebuildGone: a database that somebody took away is made anew in the same way.
func TestRebuildGone(t *testing.T) {
	t.Parallel()
	path := asked(t)
	must(t, os.Remove(path))
	q := rebuild(t, path)
	if r := q.Rebuilt(); r == nil || r.Aside != "" {
		t.Errorf("%+v", r)
	}
	stillAsked(t, q)
}

// TestRebuildInUse: a database that is damaged, removed or replaced while it is open is noticed by its time and rebuilt
// under its users. A claim from before ends in nothing, and its path is not claimed again before that.
func TestRebuildInUse(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(t *testing.T, path string){
		"noise": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt(make([]byte, pageSize), 0)
			later := time.Now().Add(time.Second) // than the grain of a file's time
			must(t, errors.Join(err, f.Close(), os.Chtimes(path, later, later)))
		},
		"removed": func(t *testing.T, path string) { must(t, os.Remove(path)) },
		"replaced": func(t *testing.T, path string) {
			other := filepath.Join(t.TempDir(), "other.db")
			must(t, os.WriteFile(other, []byte("noise"), 0o600))
			must(t, os.Rename(other, path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := asked(t)
			q := rebuild(t, path)
			must(t, q.SetPaused(false))
			c := next(t, q)
			must(t, q.SetPaused(true))
			if touched, err := q.Touched(); touched || err != nil {
				t.Errorf("touched by nobody: %t, %v", touched, err)
			}
			harm(t, path)
			if touched, _ := q.Touched(); !touched {
				t.Error("it was not noticed")
			}
			if err := q.Check(); name == "noise" && !errors.Is(err, queue.ErrDamaged) {
				t.Errorf("the check found %v", err)
			}
			<-q.Damaged()
			must(t, q.Rebuild())
			if r := q.Rebuilt(); r == nil || !r.Now || (r.Aside == "") != (name == "removed") {
				t.Errorf("%+v", r)
			}
			must(t, q.SetPaused(false))
			enqueue(t, q, change(codestory.ChapterPath(storyA, 2), 1, 20), change(codestory.ChapterPath(storyB, 1), 2, 31))
			if other := next(t, q); other.Path == c.Path {
				t.Errorf("%s is claimed twice", c.Path)
			} else {
				other.Release()
			}
			must(t, c.Done(put(1, c.Version.Size)))
			if f := file(t, q, c.Path); f.State != codestory.Queued {
				t.Errorf("the old claim made it %s", f.State)
			}
			must(t, q.SetPaused(true))
			stillAsked(t, q)
		})
	}
}

// TestRebuildWhole: a database that is whole is not set aside for what somebody met.
func TestRebuildWhole(t *testing.T) {
	t.Parallel()
	path := asked(t)
	q := rebuild(t, path)
	want, err := answers(q)
	must(t, err)
	before := read(t, path)
	must(t, os.Rename(path, path+".away"))
	if _, err := q.Touched(); !errors.Is(err, queue.ErrDamaged) {
		t.Fatalf("of one that is away: %v", err)
	}
	must(t, os.Rename(path+".away", path))
	must(t, q.Rebuild())
	if got, err := answers(q); err != nil || got != want || q.Rebuilt() != nil {
		t.Errorf("rebuilt: %+v, %v\n%s", q.Rebuilt(), err, firstDifference(got, want))
	}
	if !bytes.Equal(read(t, path), before) {
		t.Error("it was changed")
	}
}

// TestRebuildTwice: the second time loses no more than the first.
func TestRebuildTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes many thousand records")
	}
	t.Parallel()
	path := asked(t)
	for range 6 {
		must(t, os.WriteFile(path, []byte("noise"), 0o600))
		q, err := queue.Open(path, "a", queue.Options{Rebuild: true})
		must(t, err)
		must(t, q.Close())
	}
	must(t, os.WriteFile(path, bytes.Repeat([]byte("noise"), 10_000), 0o600))
	stillAsked(t, rebuild(t, path))
	kept, err := filepath.Glob(path + ".damaged-*")
	must(t, err)
	if len(kept) == 0 || len(kept) > 3 {
		t.Errorf("set aside are %q", kept)
	}
}

// TestKeptDamaged: of what is kept, a damaged line costs what it says and no more, and the database mends the file.
func TestKeptDamaged(t *testing.T) {
	t.Parallel()
	path := asked(t)
	lines := strings.SplitAfter(string(read(t, path+".kept")), "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `"paused"`) })
	damaged := strings.Replace(lines[at], "paused", "pauzed", 1)
	content := strings.Join(slices.Concat(lines[:at], []string{damaged}, lines[at+1:]), "")

	whole := filepath.Join(t.TempDir(), "codestoryd.db")
	must(t, os.WriteFile(whole, read(t, path), 0o600))
	must(t, os.WriteFile(whole+".kept", []byte(content), 0o600))
	if !stats(t, openAt(t, whole, "a")).Paused {
		t.Error("the database forgot it too")
	}
	must(t, os.Remove(path))
	must(t, os.WriteFile(path+".kept", []byte(content+"cut off"), 0o600))
	q := rebuild(t, path)
	if r := q.Rebuilt(); r == nil || r.Unread != 1 {
		t.Errorf("%+v", r)
	}
	must(t, q.SetPaused(true))
	stillAsked(t, q)
}

// TestKeptTorn: what comes after a line that was cut off when the machine was, is kept as well.
func TestKeptTorn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "codestoryd.db")
	q := openAt(t, path, "a")
	enqueue(t, q, change(codestory.ChapterPath(storyA, 1), 1, 10), change(codestory.ChapterPath(storyA, 2), 1, 10))
	must(t, q.Drop(string(codestory.ChapterPath(storyA, 1)), "dropped"))
	must(t, q.Close())
	must(t, os.WriteFile(path+".kept", append(read(t, path+".kept"), `12345678 {"kind":"dro`...), 0o600))

	q = openAt(t, path, "a")
	must(t, q.Drop(string(codestory.ChapterPath(storyA, 2)), "dropped"))
	must(t, q.Close())
	must(t, os.Remove(path))
	q = rebuild(t, path)
	if ignored, err := q.Ignored(10); err != nil || len(ignored) != 2 || q.Rebuilt().Unread != 0 {
		t.Errorf("ignored are %+v, %v; %+v", ignored, err, q.Rebuilt())
	}
}

// TestKeptStaysSmall: however often an upload's state is saved, the file stays within a bound.
func TestKeptStaysSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes many thousand records")
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "codestoryd.db")
	q := openAt(t, path, "a")
	enqueue(t, q, change(chapter, 1, 10))
	c := next(t, q)
	for n := range 200 {
		must(t, c.Save(bytes.Repeat([]byte{byte(n)}, 50_000)))
	}
	info, err := os.Stat(path + ".kept")
	must(t, err)
	if info.Size() > 2<<20 || info.Mode().Perm() != 0o600 {
		t.Errorf("it has %d bytes, %v", info.Size(), info.Mode())
	}
}

// TestRebuildRefuses: what is not damaged is not set aside.
func TestRebuildRefuses(t *testing.T) {
	t.Parallel()
	t.Run("locked", func(t *testing.T) {
		t.Parallel()
		path, content := newFile(t)
		_, release := queuetest.Hold(t, path)
		defer release()
		if _, err := queue.Open(path, "a", queue.Options{Rebuild: true, Timeout: time.Millisecond}); !errors.Is(err, queue.ErrLocked) {
			t.Errorf("the error is %v", err)
		}
		if !bytes.Equal(read(t, path), content) {
			t.Error("it was changed")
		}
	})
	t.Run("newer", func(t *testing.T) {
		t.Parallel()
		path := newer(t)
		content := read(t, path)
		_, err := queue.Open(path, "a", queue.Options{Rebuild: true})
		if err == nil || errors.Is(err, queue.ErrDamaged) || !strings.Contains(fmt.Sprint(err), "newer") {
			t.Errorf("the error is %v", err)
		}
		if !bytes.Equal(read(t, path), content) {
			t.Error("it was changed")
		}
	})
}
