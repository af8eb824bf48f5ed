package daemon

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

func eventOf(n int) happened { return happened{file: &queue.File{Path: fmt.Sprint(n)}} }

// Whoever asks gets what came after what it has seen, in order, and is told when some of that is forgotten.
func TestEventsAreRememberedForAWhile(t *testing.T) {
	t.Parallel()
	var e events
	check := func(after uint64, from, to int, missed bool) {
		t.Helper()
		list, first, b := e.since(after)
		var got, want []string
		for _, h := range list {
			got = append(got, h.file.Path)
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
			case e.Remote != nil:
				got = append(got, "remote "+string(e.Remote.State))
			}
		}
		want := []string{"file queued", "remote ok", "file uploading", "upload 0/3", "upload 0/3", "file synced"}
		if !slices.Equal(got, want) {
			t.Errorf("events: %q, want %q", got, want)
		}
	})
}

// What a store says that it has sent is counted once, for the upload and for all.
func TestProgressOfAnUpload(t *testing.T) {
	t.Parallel()
	d := newWorld(t, &scripted{}, Options{})
	progress, done := d.beginUpload(&queue.Claim{Path: codestory.ChapterPath(kilo, 1), Version: codestory.Version{Size: 10}})
	progress(4)
	progress(3)
	if got := d.uploads.list(); len(got) != 1 || got[0].SentBytes != 7 || d.counters.sent.Load() != 7 {
		t.Errorf("in flight: %+v; in all: %d", got, d.counters.sent.Load())
	}
	done()
	if got := d.uploads.list(); len(got) != 0 {
		t.Errorf("after its end: %+v", got)
	}
}
