package queue_test

import (
	"errors"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// An answer of the store counts only where the record is still the one that was there when it was asked.
func TestCorrect(t *testing.T) {
	t.Parallel()
	path := codestory.ChapterPath(storyA, 1)
	found := func(t *testing.T, q *queue.Queue) { must(t, q.Found(path, put(1, 10), nil)) }
	ours := func(t *testing.T, q *queue.Queue) {
		enqueue(t, q, change(path, 1, 10))
		must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	}
	nothing := func(*testing.T, *queue.Queue) {}
	for name, test := range map[string]struct {
		before    func(*testing.T, *queue.Queue)
		meanwhile func(*testing.T, *queue.Queue)
		size      int64 // after the store said 30
		others    bool
		stays     bool // after the store said that there is none
	}{
		"found":             {found, nothing, 30, true, false},
		"ours and replaced": {ours, nothing, 30, true, false},
		"of a form": {found, func(t *testing.T, q *queue.Queue) {
			must(t, q.SignForm(path, time.Now().Add(time.Hour)))
		}, 30, true, false},
		"put again meanwhile": {ours, func(t *testing.T, q *queue.Queue) {
			enqueue(t, q, change(path, 2, 20))
			must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(2, 20)}))
		}, 20, false, true},
		"the same put again meanwhile": {ours, func(t *testing.T, q *queue.Queue) {
			enqueue(t, q, change(path, 2, 10))
			must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
		}, 10, false, true},
		"the same received meanwhile": {found, func(t *testing.T, q *queue.Queue) {
			must(t, q.Received(path, time.Now(), put(1, 10)))
		}, 10, true, true},
		"waits": {ours, func(t *testing.T, q *queue.Queue) {
			enqueue(t, q, change(path, 2, 20))
		}, 20, false, true},
		"received meanwhile": {ours, func(t *testing.T, q *queue.Queue) {
			must(t, q.Received(path, time.Now(), put(2, 20)))
		}, 10, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, object := range []*queue.Stored{{Size: 30, ETag: "other"}, nil} {
				q := open(t)
				test.before(t, q)
				known := file(t, q, path)
				test.meanwhile(t, q)
				must(t, q.Correct(known, object, nil))
				f, err := q.File(path)
				switch {
				case object == nil && !test.stays:
					if !errors.Is(err, codestory.ErrNotFound) {
						t.Errorf("of what is gone there is %+v, %v", f, err)
					}
					if _, err := q.Story(storyA); !errors.Is(err, codestory.ErrNotFound) {
						t.Errorf("the empty story: %v", err)
					}
				case err != nil || object != nil && f.Size() != test.size:
					t.Errorf("it has %d bytes, %v; want %d", f.Size(), err, test.size)
				case object != nil:
					if others, _, err := q.Others(path); others != test.others || err != nil {
						t.Errorf("others: %v, %v", others, err)
					}
				}
			}
		})
	}
}

// An upload of ours that the store took late is no stranger's.
func TestCorrectKnowsLateUploads(t *testing.T) {
	t.Parallel()
	q, path := open(t), codestory.ChapterPath(storyA, 1)
	enqueue(t, q, change(path, 1, 10))
	c := next(t, q)
	must(t, c.Unanswered("late"))
	must(t, c.Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now(), Reason: "no answer"}))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	must(t, q.Correct(file(t, q, path), &queue.Stored{Size: 9, ETag: "late"}, nil))
	if others, _, err := q.Others(path); others || err != nil || file(t, q, path).Size() != 9 {
		t.Errorf("others: %v, %v", others, err)
	}
}

// An upload that is under way while its file goes is not corrected: its own outcome tells more.
func TestCorrectLeavesClaimed(t *testing.T) {
	t.Parallel()
	q, path := open(t), codestory.ChapterPath(storyA, 1)
	enqueue(t, q, change(path, 1, 10))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	enqueue(t, q, change(path, 2, 20))
	c := next(t, q)
	known := file(t, q, path)
	known.State = codestory.Synced // as it is described when the file goes meanwhile
	must(t, q.Correct(known, &queue.Stored{Size: 20, ETag: put(2, 20).ETag}, nil))
	must(t, c.Finish(queue.Outcome{Kind: queue.Done, Object: put(2, 20)}))
	if others, _, err := q.Others(path); others || err != nil || file(t, q, path).Size() != 20 {
		t.Errorf("others: %v, %v", others, err)
	}
}

// All that is found of a story is indexed together, but for what is to be deleted.
func TestFoundAll(t *testing.T) {
	t.Parallel()
	q, one, two := open(t), codestory.ChapterPath(storyA, 1), codestory.ChapterPath(storyA, 2)
	enqueue(t, q, change(one, 1, 10))
	must(t, next(t, q).Finish(queue.Outcome{Kind: queue.Done, Object: put(1, 10)}))
	must(t, q.Delete(storyA, "deleted"))
	metadata := queue.Found{Path: codestory.MetadataPath(storyA), Stored: put(3, 3), Metadata: &codestory.Metadata{Title: "T"}}
	must(t, q.FoundAll([]queue.Found{{Path: one, Stored: put(1, 10)}, {Path: two, Stored: put(2, 20)}, metadata}))
	files, err := q.Files(storyA)
	if s, storyErr := q.Story(storyA); err != nil || len(files) != 3 || files[0].Stored != nil || storyErr != nil || s.Metadata.Title != "T" {
		t.Errorf("files %+v, %v; story %+v, %v", files, err, s, storyErr)
	}
	if others, posting, err := q.OthersOf(storyA); !others || posting != nil || err != nil {
		t.Errorf("others: %v, %v, %v", others, posting, err)
	}
}
