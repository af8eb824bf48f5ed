package daemon

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
)

// november is another story than kilo.
const november = codestory.StoryID("7c9e6679-7425-40de-944b-e07fc1f90ae7")

func eventOf(n int) happened { return happened{upload: &codestory.Upload{Path: fmt.Sprint(n)}} }

// Whoever asks gets what came after what it has seen, in order, and is told when some of that is forgotten.
func TestEventsAreRememberedForAWhile(t *testing.T) {
	t.Parallel()
	var e events
	check := func(after uint64, from, to int, missed bool) {
		t.Helper()
		list, first, b := e.since(after)
		var got, want []string
		for _, h := range list {
			got = append(got, h.upload.Path)
		}
		for n := from; n <= to; n++ {
			want = append(want, fmt.Sprint(n))
		}
		if !slices.Equal(got, want) || len(got) > 0 && first != uint64(from) || b.Missed != missed {
			t.Errorf("after %d: got %d of %.60q from %d on, missed %v; want %d to %d, %v", after, len(got), got, first, b.Missed, from, to, missed)
		}
	}
	check(0, 1, 0, false)
	check(^uint64(0), 1, 0, true)
	for n := 1; n <= 3*maxEvents; n++ {
		e.add(eventOf(n))
		if n == 3 {
			check(0, 1, 3, false)
			check(2, 3, 3, false)
			check(3, 4, 3, false)
		}
	}
	check(0, 2*maxEvents+1, 3*maxEvents, true)
	check(2*maxEvents, 2*maxEvents+1, 3*maxEvents, false)
	check(3*maxEvents-1, 3*maxEvents, 3*maxEvents, false)
	e.lose()
	check(3*maxEvents, 1, 0, true)
	e.add(eventOf(3*maxEvents + 2))
	check(3*maxEvents, 3*maxEvents+2, 3*maxEvents+2, true)
	check(3*maxEvents+1, 3*maxEvents+2, 3*maxEvents+2, false)
}

// A change of files is an event of their story too: one for those that come at once, which wakes who waits and is
// remembered for who was away.
func TestEventsOfStories(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var e events
		change := func(id codestory.StoryID) {
			e.add(happened{file: &queue.File{Path: string(codestory.StoryAudioPath(id))}})
		}
		stories := func(after uint64) (ids []codestory.StoryID, b codestory.EventBatch) {
			list, _, b := e.since(after)
			for _, h := range list {
				if h.story != "" {
					ids = append(ids, h.story)
				}
			}
			return ids, b
		}
		for range 100 {
			change(kilo)
		}
		change(november)
		ids, seen := stories(0)
		if len(ids) > 0 {
			t.Errorf("at once: %v", ids)
		}
		time.Sleep(storyDelay)
		_, waits := stories(seen.Last + 2) // somebody else asks first
		for _, after := range []uint64{0, seen.Last} {
			if ids, b := stories(after); !slices.Equal(ids, []codestory.StoryID{kilo, november}) || b.Missed {
				t.Errorf("after %d: %v", after, ids)
			}
		}
		<-seen.Changed
		change(kilo)
		<-waits.Changed
		time.Sleep(storyDelay)
		if ids, _ := stories(seen.Last + 2); !slices.Equal(ids, []codestory.StoryID{kilo}) {
			t.Errorf("of the change after it: %v", ids)
		}
		for n := range maxStirred {
			change(codestory.StoryID(fmt.Sprintf("story %d", n)))
		}
		if ids, _ := stories(0); len(ids) != 3+maxStirred {
			t.Errorf("%d stories at once: %d are told", maxStirred, len(ids)-3)
		}
	})
}

func TestEventsWakeWhoWaits(t *testing.T) {
	t.Parallel()
	var e events
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for seen := uint64(0); seen < 1000; {
				_, _, b := e.since(seen)
				if seen = b.Last; seen < 1000 {
					<-b.Changed
				}
			}
		})
	}
	for n := range 1000 {
		e.add(eventOf(n))
	}
	all.Wait()
}

// What happens to a file is told in its order, and what happened to the store.
func TestEventsOfAnUpload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, "one")
		w.upload(time.Second)
		time.Sleep(storyDelay)
		batch, err := w.Events(0)
		if err != nil || batch.Missed {
			t.Fatalf("%+v, %v", batch, err)
		}
		var got []string
		for _, e := range batch.Events {
			switch {
			case e.File != nil:
				got = append(got, "file "+string(e.File.State))
			case e.Upload != nil:
				got = append(got, fmt.Sprintf("upload %d/%d", e.Upload.SentBytes, e.Upload.TotalBytes))
			case e.Story != "":
				got = append(got, "story "+string(e.Story))
			case e.Remote != nil:
				got = append(got, "remote "+string(e.Remote.State))
			}
		}
		want := []string{"file queued", "remote ok", "file uploading", "upload 0/3", "upload 3/3", "file synced", "story " + string(kilo)}
		if !slices.Equal(got, want) {
			t.Errorf("events: %q, want %q", got, want)
		}
	})
}

// What a file of sound says of itself is told once it was read, of the file and of its story.
func TestEventsOfSounds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, mp3(1000))
		w.upload(time.Second)
		before, err := w.Events(0)
		if err != nil {
			t.Fatal(err)
		}
		w.listen(time.Minute)
		batch, err := w.Events(before.Last)
		if err != nil {
			t.Fatal(err)
		}
		told, story := 0, false
		for _, e := range batch.Events {
			if f := e.File; f != nil && f.Path == path && f.State == codestory.Synced && f.Audio != nil && *f.Audio.DurationSeconds == 24 {
				told++
			}
			story = told > 0 && e.Story == kilo
		}
		if told != 1 || !story {
			t.Errorf("told %d times, and then the story: %v: %+v", told, story, batch.Events)
		}
		w.write(path, mp3(2000)) // of which nothing was read
		after, err := w.Events(before.Last)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range after.Events {
			if e.File != nil && e.File.Audio != nil {
				t.Errorf("with another version here: %+v", e.File)
			}
		}
	})
}

// A story gets an event of its own when its owner changes, though none of its files does.
func TestOwnerChangeIsAnEvent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		exclude := func(path string, _ bool) (string, bool) { return "*.json", strings.HasSuffix(path, ".json") }
		w := newWorld(t, &scripted{}, Options{Watch: watch.Options{Rules: watch.Rules{Exclude: exclude}}})
		w.write(codestory.ChapterPath(kilo, 1), "one")
		time.Sleep(time.Second)
		before, err := w.Events(0)
		if err != nil {
			t.Fatal(err)
		}
		w.write(codestory.MetadataPath(kilo), `{"user_id": "ada"}`)
		time.Sleep(time.Second)
		batch, err := w.Events(before.Last)
		if err != nil || len(batch.Events) != 1 || batch.Events[0].Story != kilo {
			t.Errorf("events: %+v, %v", batch.Events, err)
		}
	})
}
