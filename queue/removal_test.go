package queue_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

const deleted = "deleted by request"

// removals takes on what is to be deleted of the story.
func removals(t *testing.T, q *queue.Queue, id codestory.StoryID) []queue.Removal {
	t.Helper()
	list, err := q.Removals(id, 100)
	must(t, err)
	return list
}

func removalPaths(list []queue.Removal) (paths []codestory.Path) {
	for _, r := range list {
		paths = append(paths, r.Path)
	}
	return paths
}

// TestDelete: what was stored is to be deleted, what is here is ignored until it changes, what waited is not uploaded.
func TestDelete(t *testing.T) {
	t.Parallel()
	q := open(t)
	stored, waiting := codestory.StoryAudioPath(storyA), codestory.ChapterPath(storyA, 1)
	other := codestory.StoryAudioPath(storyB)
	enqueue(t, q, change(stored, 1, 10))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	enqueue(t, q, change(other, 1, 10))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	enqueue(t, q, change(waiting, 1, 10))

	must(t, q.Delete(storyA, deleted))
	nothingWaits(t, q)
	for _, path := range []codestory.Path{stored, waiting} {
		if f := file(t, q, path); f.State != codestory.LeftOut || f.Reason != deleted || f.Stored != nil {
			t.Errorf("%s is %+v", path, f)
		}
	}
	if f := file(t, q, other); f.State != codestory.Synced {
		t.Errorf("another story's file is %+v", f)
	}
	list := removals(t, q, storyA)
	if got := removalPaths(list); !slices.Equal(got, []codestory.Path{stored, waiting}) {
		t.Errorf("to be deleted: %q", got)
	}
	for _, r := range list {
		must(t, r.Done())
	}
	if n, _, err := q.RemovalsWaiting(); n != 0 || err != nil {
		t.Errorf("%d removals wait, %v", n, err)
	}

	enqueue(t, q, change(stored, 1, 10)) // not changed
	nothingWaits(t, q)
	enqueue(t, q, change(stored, 2, 10))
	if c := next(t, q); c.Path != stored || c.Stored != nil {
		t.Errorf("claimed %+v", c)
	}
	if err := q.Delete("cccccccc-0000-4000-8000-000000000000", deleted); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("deleting an unknown story: %v", err)
	}
}

// TestDeleteAgain: an object is deleted once more when no form for it can be used and no request be under way any more,
// after a restart too; and a newer version that was stored in between stays.
func TestDeleteAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "codestoryd.db")
		q := openAt(t, path, "a")
		plain, formed, rewritten := codestory.ChapterPath(storyA, 1), codestory.StoryAudioPath(storyA), codestory.ChapterPath(storyA, 2)
		enqueue(t, q, change(plain, 1, 10), change(rewritten, 1, 10))
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
		must(t, q.SignForm(formed, time.Now().Add(time.Hour)))
		must(t, q.Delete(storyA, deleted))
		for _, r := range removals(t, q, "") {
			must(t, r.Done())
		}
		if list := removals(t, q, ""); len(list) > 0 {
			t.Errorf("due at once again: %q", removalPaths(list))
		}
		enqueue(t, q, change(rewritten, 2, 10))
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(2, 10)}))
		must(t, q.Close())

		time.Sleep(3 * time.Minute)
		q = openAt(t, path, "a")
		list := removals(t, q, "")
		if got := removalPaths(list); !slices.Equal(got, []codestory.Path{plain}) {
			t.Errorf("due after some minutes: %q", got)
		}
		must(t, list[0].Done())
		if removed, err := q.Removed(plain); removed || err != nil {
			t.Errorf("still noted as deleted: %v, %v", removed, err)
		}
		time.Sleep(time.Hour)
		list = removals(t, q, "")
		if got := removalPaths(list); !slices.Equal(got, []codestory.Path{formed}) {
			t.Errorf("due when the form has expired: %q", got)
		}
		must(t, list[0].Done())
		if signed, err := q.FormSigned(formed); signed || err != nil {
			t.Errorf("the form is still known: %v, %v", signed, err)
		}
	})
}

// TestDeleteUnderWay: an upload that ends after its story was deleted leaves nothing in the index, and its object is
// not deleted before it has ended.
func TestDeleteUnderWay(t *testing.T) {
	t.Parallel()
	q := open(t)
	path := codestory.StoryAudioPath(storyA)
	enqueue(t, q, change(path, 1, 10))
	c := next(t, q)
	must(t, q.Delete(storyA, deleted))
	if list := removals(t, q, storyA); len(list) > 0 {
		t.Fatalf("to be deleted while it is uploaded: %q", removalPaths(list))
	}
	must(t, c.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	if f := file(t, q, path); f.State != codestory.LeftOut || f.Stored != nil {
		t.Errorf("the file is %+v", f)
	}
	list := removals(t, q, storyA)
	if len(list) != 1 {
		t.Fatalf("to be deleted: %q", removalPaths(list))
	}
	enqueue(t, q, change(path, 2, 10)) // waits until the old one is deleted
	nothingWaits(t, q)
	list[0].Release()
	if c := next(t, q); c.Version != version(2, 10) {
		t.Errorf("claimed %+v", c)
	}
}

// TestDeleteOurs: objects that others stored are not deleted, but for those that a form was signed for.
func TestDeleteOurs(t *testing.T) {
	t.Parallel()
	q := open(t)
	theirs, posted := codestory.ChapterPath(storyA, 1), codestory.StoryAudioPath(storyA)
	must(t, q.Found(theirs, put(1, 10), nil))
	if err := q.Delete(storyA, deleted); !errors.Is(err, codestory.ErrNotOurs) {
		t.Fatalf("deleting what is others': %v", err)
	}
	if f := file(t, q, theirs); f.State != codestory.Synced {
		t.Errorf("a deletion that was refused left %+v", f)
	}
	must(t, q.SignForm(posted, time.Now().Add(time.Hour)))
	must(t, q.Found(posted, put(2, 20), nil))
	must(t, q.Delete(storyA, deleted))
	if got := removalPaths(removals(t, q, storyA)); !slices.Equal(got, []codestory.Path{posted}) {
		t.Errorf("to be deleted: %q", got)
	}
	if _, err := q.Story(storyA); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("the story is still known: %v", err)
	}
}

// TestRemovalIsOverWhileItIsDone: an object that is wanted again while the store deletes it is not deleted another time,
// and one that is deleted anew meanwhile is.
func TestRemovalIsOverWhileItIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := open(t)
		path := codestory.StoryAudioPath(storyA)
		must(t, q.SignForm(path, time.Now().Add(time.Minute)))
		must(t, q.Delete(storyA, deleted))
		taken := func(want int) []queue.Removal {
			t.Helper()
			removals, err := q.Removals("", 10)
			must(t, err)
			if len(removals) != want {
				t.Fatalf("%d removals, want %d", len(removals), want)
			}
			return removals
		}
		first := taken(1)[0]
		must(t, q.SignForm(path, time.Now().Add(time.Hour)))
		must(t, first.Done())
		if removed, err := q.Removed(path); err != nil || removed {
			t.Errorf("what is wanted again is removed: %v", err)
		}

		must(t, q.Delete(storyA, deleted))
		first = taken(1)[0]
		time.Sleep(time.Second)
		must(t, q.SignForm(path, time.Now().Add(time.Hour)))
		must(t, q.Delete(storyA, deleted))
		must(t, first.Done())
		must(t, taken(1)[0].Done())
		time.Sleep(59 * time.Minute)
		taken(0)
		time.Sleep(2 * time.Minute)
		must(t, taken(1)[0].Done())
	})
}

// TestDeleteDroppedUnderWay: a file that was dropped while it was uploaded is to be deleted too, whatever becomes of that.
func TestDeleteDroppedUnderWay(t *testing.T) {
	t.Parallel()
	q := open(t)
	path := codestory.StoryAudioPath(storyA)
	enqueue(t, q, change(path, 1, 10))
	c := next(t, q)
	must(t, q.Drop(string(path), "dropped"))
	must(t, q.Delete(storyA, deleted))
	must(t, c.Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	if f := file(t, q, path); f.Stored != nil {
		t.Errorf("the file is %+v", f)
	}
	if got := removalPaths(removals(t, q, storyA)); !slices.Equal(got, []codestory.Path{path}) {
		t.Errorf("to be deleted: %q", got)
	}
}

// TestFoundAfterDelete: what the store was asked for before its story was deleted does not bring that back.
func TestFoundAfterDelete(t *testing.T) {
	t.Parallel()
	q := open(t)
	path := codestory.StoryAudioPath(storyA)
	must(t, q.SignForm(path, time.Now().Add(time.Minute)))
	must(t, q.Delete(storyA, deleted))
	if err := q.Found(path, put(1, 10), nil); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("the error is %v", err)
	}
	if _, err := q.Story(storyA); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("the story is back: %v", err)
	}
}
