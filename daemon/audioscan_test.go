package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

// mp3 is a file of n frames of 24 ms.
func mp3(n int) string {
	return strings.Repeat("\xff\xfb\x94\x00"+strings.Repeat("\x00", 380), n)
}

// listen runs the reading of facts for that long.
func (w *world) listen(d time.Duration) {
	w.t.Helper()
	ctx, stop := context.WithTimeout(w.t.Context(), d)
	defer stop()
	if err := w.ScanAudio(ctx); err != nil {
		w.t.Errorf("Listen: %v", err)
	}
}

// wantSeconds checks how long a chapter is said to play, and its file; 0 is not known.
func (w *world) wantSeconds(when string, chapter int, seconds float64) {
	w.t.Helper()
	story, err := w.Story(w.t.Context(), kilo)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range story.Chapters {
		if got := c.DurationSeconds; c.Number == chapter && ((got == nil) != (seconds == 0) || got != nil && *got != seconds) {
			w.t.Errorf("%s: chapter %d plays %v s, want %v", when, chapter, got, seconds)
		}
	}
}

func TestSoundsAreRead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		first := codestory.ChapterPath(kilo, 1)
		w.write(first, mp3(1000))
		w.write(codestory.ChapterPath(kilo, 2), mp3(500))
		w.write(codestory.MetadataPath(kilo), `{"chapters": [{"number": 1}, {"number": 2, "duration_seconds": 7}, {"number": 3}]}`)
		w.wantSeconds("before it was read", 1, 0)
		w.upload(time.Second)
		w.listen(time.Minute)
		w.wantSeconds("after it was read", 1, 24)
		w.wantSeconds("where the metadata says", 2, 7)
		w.wantSeconds("without a file", 3, 0)

		w.write(first, mp3(2000))
		w.wantSeconds("with a new version", 1, 0)
		w.upload(time.Second)
		w.listen(time.Minute)
		w.wantSeconds("after the new version was read", 1, 48)

		if err := os.Remove(filepath.Join(w.tree.Dir(), string(first))); err != nil {
			t.Fatal(err)
		}
		w.wantSeconds("with the file gone", 1, 48)
	})
}

// What was not read when the daemon ended is found at the next start, and so is what came too fast to be remembered.
func TestSoundsThatWereMissed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		w.write(codestory.ChapterPath(kilo, 1), mp3(1000))
		w.Daemon = New(w.tree, w.queue, w.store, w.opts) // as of a new process
		w.upload(time.Second)
		w.listen(time.Minute)
		w.wantSeconds("after a restart", 1, 24)

		for i := range maxAudioHints {
			w.sounds.add(codestory.Path(fmt.Sprintf("%s/audio/%d.mp3", router, i)), codestory.Version{})
		}
		w.write(codestory.ChapterPath(kilo, 1), mp3(500))
		w.upload(time.Second)
		w.listen(time.Minute)
		w.wantSeconds("after too many", 1, 12)
	})
}

// Uploads go first, as long as they get on.
func TestSoundsWaitForUploads(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		w.write(codestory.ChapterPath(kilo, 1), mp3(1000))
		w.listen(soundPatience / 2)
		w.wantSeconds("while the file waits", 1, 0)
		w.sounds.wake() // that was taken
		w.listen(2 * soundPatience)
		w.wantSeconds("after it waited for long", 1, 24)
	})
}

// A file that is not the settled version is read when it settles.
func TestSoundOfAChangedFile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, mp3(1000))
		if err := os.WriteFile(filepath.Join(w.tree.Dir(), string(path)), []byte(mp3(10)), 0o666); err != nil {
			t.Fatal(err)
		}
		w.listen(time.Minute)
		w.wantSeconds("before it settled", 1, 0)
		w.settle(path)
		w.listen(time.Minute)
		w.wantSeconds("after it settled", 1, 0.24)
	})
}

func TestSoundsOfAMissingDirectory(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		w.write(codestory.ChapterPath(kilo, 1), mp3(1000))
		away := w.tree.Dir() + ".away"
		if err := os.Rename(w.tree.Dir(), away); err != nil {
			t.Fatal(err)
		}
		w.listen(time.Hour)
		if err := os.Rename(away, w.tree.Dir()); err != nil {
			t.Fatal(err)
		}
		w.sounds.wake()
		w.listen(time.Minute)
		w.wantSeconds("when the directory is back", 1, 24)
	})
}

func TestFaultsAreAProblem(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, mp3(10)[:3000])
		w.listen(time.Minute)
		s, err := w.Status(t.Context())
		if err != nil || len(s.Problems) != 1 || s.Problems[0].Code != "audio_faults" ||
			len(s.Problems[0].Details) != 1 || !strings.HasPrefix(s.Problems[0].Details[0], string(path)+": its last frame is cut off") || s.Problems[0].Since.IsZero() {
			t.Errorf("%+v, %v", s.Problems, err)
		}
		story, err := w.Story(t.Context(), kilo)
		if err != nil || story.Files[0].Audio.Faults[0].Code != codestory.Truncated {
			t.Errorf("%+v, %v", story.Files, err)
		}
		for i := range 7 {
			w.write(codestory.ChapterPath(kilo, i+2), mp3(10)[:3000])
		}
		w.listen(time.Minute)
		if s, err := w.Status(t.Context()); err != nil || len(s.Problems) != 1 || len(s.Problems[0].Details) != 6 || s.Problems[0].Details[5] != "and 3 more" {
			t.Errorf("eight of them: %+v, %v", s.Problems, err)
		}
		for i := range 8 {
			w.write(codestory.ChapterPath(kilo, i+1), mp3(10))
		}
		w.listen(time.Minute)
		if s, err := w.Status(t.Context()); err != nil || len(s.Problems) != 0 {
			t.Errorf("after it was made again: %+v, %v", s.Problems, err)
		}
	})
}
