package queue_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

var (
	heardChapter = codestory.ChapterPath(storyA, 1)
	heard        = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// sound is what was read of the n-th version of a file of 10 bytes.
func sound(path codestory.Path, n int64, seconds float64, faults ...codestory.AudioFault) queue.Sound {
	return queue.Sound{Path: path, Version: version(n, 10), At: heard,
		Audio: codestory.Audio{DurationSeconds: &seconds, Title: "T", Cover: &codestory.AudioCover{Size: 3}, Faults: faults}}
}

func saveSounds(t *testing.T, q *queue.Queue, sounds ...queue.Sound) {
	t.Helper()
	if err := q.SaveSounds(sounds); err != nil {
		t.Fatal(err)
	}
}

// wantSound checks how long the file is said to play, 0 for nothing known.
func wantSound(t *testing.T, q *queue.Queue, path codestory.Path, seconds float64) {
	t.Helper()
	sounds, err := q.Sounds(path.Story())
	if err != nil {
		t.Fatal(err)
	}
	a, ok := sounds[path]
	if ok != (seconds != 0) || ok && *a.DurationSeconds != seconds {
		t.Errorf("%s: %+v, want %v s", path, a, seconds)
	}
}

func unread(t *testing.T, q *queue.Queue) (paths []string) {
	t.Helper()
	for after := ""; ; {
		some, next, err := q.Unread(after, 2, func(path string) bool { return strings.HasSuffix(path, ".mp3") })
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range some {
			paths = append(paths, c.Path)
		}
		if next == "" {
			return paths
		}
		after = next
	}
}

// What was read of a file stays with that version, wherever it is.
func TestSoundsFollowTheVersion(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "db")
	q := openAt(t, file, "a")
	enqueue(t, q, change(heardChapter, 1, 10))
	wantSound(t, q, heardChapter, 0)
	saveSounds(t, q, sound(heardChapter, 2, 5)) // of a version that is not settled
	wantSound(t, q, heardChapter, 0)
	saveSounds(t, q, sound(heardChapter, 1, 61.5))
	wantSound(t, q, heardChapter, 61.5)

	if err := next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: queue.Stored{Size: 10, ETag: "e"}}); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = openAt(t, file, "a")
	wantSound(t, q, heardChapter, 61.5)

	enqueue(t, q, change(heardChapter, 2, 10)) // not read yet
	wantSound(t, q, heardChapter, 0)
	saveSounds(t, q, sound(heardChapter, 2, 70))
	if err := next(t, q).Finish(queue.Outcome{Kind: queue.Gone}); err != nil { // never stored: what is left is the first version, in the store
		t.Fatal(err)
	}
	wantSound(t, q, heardChapter, 0)
}

func TestSoundsOfWhatIsInTheStoreAlone(t *testing.T) {
	t.Parallel()
	q := open(t)
	enqueue(t, q, change(heardChapter, 1, 10))
	saveSounds(t, q, sound(heardChapter, 1, 61.5))
	if err := next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: queue.Stored{Size: 10, ETag: "e"}}); err != nil {
		t.Fatal(err)
	}
	enqueue(t, q, change(heardChapter, 2, 12))
	if err := next(t, q).Finish(queue.Outcome{Kind: queue.Gone}); err != nil {
		t.Fatal(err)
	}
	wantSound(t, q, heardChapter, 61.5)
}

func TestUnread(t *testing.T) {
	t.Parallel()
	q := open(t)
	if got := unread(t, q); len(got) > 0 {
		t.Errorf("of an empty queue: %v", got)
	}
	second, other := codestory.ChapterPath(storyA, 2), codestory.ChapterPath(storyB, 1)
	enqueue(t, q, change(heardChapter, 1, 10), change(second, 1, 10), change(other, 1, 10), change(codestory.MetadataPath(storyA), 1, 10))
	saveSounds(t, q, sound(heardChapter, 1, 5), sound(other, 1, 5))
	enqueue(t, q, change(other, 2, 10))
	if got := unread(t, q); len(got) != 2 || got[0] != string(second) || got[1] != string(other) {
		t.Errorf("got %v", got)
	}
}

func TestFaulty(t *testing.T) {
	t.Parallel()
	q := open(t)
	fault := codestory.AudioFault{Code: codestory.Truncated, Message: "cut"}
	second := codestory.ChapterPath(storyA, 2)
	enqueue(t, q, change(heardChapter, 1, 10), change(second, 1, 10))
	saveSounds(t, q, sound(heardChapter, 1, 5, fault), sound(second, 1, 5, fault))
	if got, others, err := q.Faulty(1); err != nil || len(got) != 1 || others != 1 || got[0].Path != heardChapter || got[0].Audio.Faults[0] != fault || !got[0].At.Equal(heard) {
		t.Errorf("got %+v, %d, %v", got, others, err)
	}
	enqueue(t, q, change(heardChapter, 2, 10)) // mended, perhaps: it is not read yet
	if got, others, err := q.Faulty(1); err != nil || len(got) != 1 || others != 0 || got[0].Path != second {
		t.Errorf("got %+v, %d, %v", got, others, err)
	}
	saveSounds(t, q, sound(second, 1, 5), sound(heardChapter, 2, 5))
	if got, _, err := q.Faulty(9); err != nil || len(got) != 0 {
		t.Errorf("after all were mended: %+v, %v", got, err)
	}
}

func TestSoundIsForgotten(t *testing.T) {
	t.Parallel()
	q := open(t)
	enqueue(t, q, change(heardChapter, 1, 10))
	saveSounds(t, q, sound(heardChapter, 1, 5, codestory.AudioFault{}))
	if err := next(t, q).Finish(queue.Outcome{Kind: queue.Gone}); err != nil {
		t.Fatal(err)
	}
	enqueue(t, q, change(heardChapter, 1, 10))
	wantSound(t, q, heardChapter, 0)
}
