package queue_test

import (
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

func notes(t *testing.T, q *queue.Queue) []queue.Unanswered {
	t.Helper()
	found, err := q.Unanswered(nil, 100)
	must(t, err)
	return found
}

func TestUnanswered(t *testing.T) {
	t.Parallel()
	path, other := codestory.StoryAudioPath(storyA), codestory.ChapterPath(storyA, 1)
	q := open(t)
	enqueue(t, q, change(path, 1, 10), change(other, 1, 10))
	for _, c := range []*queue.Claim{next(t, q), next(t, q)} {
		must(t, c.Unanswered("etag of "+string(c.Path)))
		must(t, c.Unanswered("etag of "+string(c.Path)))
		must(t, c.Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now(), Reason: "no answer"}))
	}
	for range 2 {
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	}
	found := notes(t, q)
	if len(found) != 2 || found[0].Path != path || found[0].ETag != "etag of "+string(path) || time.Since(found[0].At) > time.Minute || !found[0].Here {
		t.Errorf("after the uploads were done: %+v", found)
	}
	if page, err := q.Unanswered(&found[0], 1); err != nil || len(page) != 1 || page[0] != found[1] {
		t.Errorf("after the first: %+v, %v", page, err)
	}
	early := found[0]
	early.At = early.At.Add(-time.Second)
	must(t, q.ForgetUnanswered(early))
	if got := notes(t, q); len(got) != 2 {
		t.Errorf("a note that was renewed is forgotten: %+v", got)
	}
	must(t, q.Use("b"))
	if got := notes(t, q); len(got) != 2 || got[0].Here || got[1].Here {
		t.Errorf("in another destination: %+v", got)
	}
	must(t, q.Use("a"))
	must(t, q.ForgetUnanswered(found[0]))
	if got := notes(t, q); len(got) != 1 || got[0] != found[1] {
		t.Errorf("one was forgotten: %+v", got)
	}
}

func TestPutAgain(t *testing.T) {
	t.Parallel()
	path := codestory.StoryAudioPath(storyA)
	q := open(t)
	enqueue(t, q, change(path, 1, 10))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	must(t, q.PutAgain(path, "another etag"))
	nothingWaits(t, q)
	must(t, q.PutAgain(path, put(1, 10).ETag))
	c := next(t, q)
	if c.Path != path || c.Version != version(1, 10) || c.Stored == nil || c.Stored.MD5 != "" {
		t.Errorf("claimed %+v, with %+v", c, c.Stored)
	}
	must(t, c.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	must(t, q.Use("b"))
	must(t, q.PutAgain(path, put(1, 10).ETag))
	nothingWaits(t, q)
	enqueue(t, q, change(path, 1, 10))
	if c := next(t, q); !c.MayExist || c.Stored != nil {
		t.Errorf("claimed for another destination: %+v", c)
	}
}

// An answer that comes after all ends the note of its own upload, and of no other.
func TestAnsweredAfterAll(t *testing.T) {
	t.Parallel()
	q := open(t)
	enqueue(t, q, change(codestory.StoryAudioPath(storyA), 1, 10))
	c := next(t, q)
	must(t, c.Unanswered("late"))
	must(t, c.Unanswered("late"))
	must(t, c.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	if got := notes(t, q); len(got) != 0 {
		t.Errorf("after it was answered: %+v", got)
	}
	enqueue(t, q, change(codestory.StoryAudioPath(storyA), 2, 10))
	c = next(t, q)
	must(t, c.Unanswered("late"))
	c.Release()
	c = next(t, q)
	must(t, c.Unanswered("late"))
	must(t, c.Finish(queue.Outcome{Kind: queue.Done, Object: put(2, 10)}))
	if got := notes(t, q); len(got) != 1 {
		t.Errorf("after another upload of the same was answered: %+v", got)
	}
}
