package queue_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// order claims everything and returns the paths in the order in which they came.
func order(t *testing.T, q *queue.Queue) (paths []codestory.Path) {
	t.Helper()
	for range stats(t, q).Queued {
		paths = append(paths, next(t, q).Path)
	}
	nothingWaits(t, q)
	return paths
}

// arrival is a file that is enqueued some time after the test began.
type arrival struct {
	after time.Duration
	path  codestory.Path
	size  int64
}

func TestUrgency(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	var (
		metadataA, metadataB = codestory.MetadataPath(storyA), codestory.MetadataPath(storyB)
		audioA               = codestory.StoryAudioPath(storyA)
		cover                = codestory.Path(storyA) + "/cover.jpg"
	)
	chapterA := func(n int) codestory.Path { return codestory.ChapterPath(storyA, n) }
	chapterB := func(n int) codestory.Path { return codestory.ChapterPath(storyB, n) }
	for _, tt := range []struct {
		name     string
		arrivals []arrival
		want     []codestory.Path
	}{
		{"playable first, whatever the order of arrival and the size", []arrival{
			{0, chapterA(2), 1}, {0, cover, 1}, {0, audioA, 400 * mib}, {0, chapterA(1), 40 * mib}, {0, metadataA, mib},
		}, []codestory.Path{metadataA, chapterA(1), audioA, chapterA(2), cover}},
		{"small before large", []arrival{
			{0, chapterA(2), 400 * mib}, {0, chapterA(3), 3 * mib}, {0, chapterA(4), 40 * mib}, {0, cover, 0},
		}, []codestory.Path{cover, chapterA(3), chapterA(4), chapterA(2)}},
		{"of the same size, the first to come", []arrival{
			{0, chapterA(9), mib}, {time.Second, chapterA(5), mib}, {2 * time.Second, chapterA(3), mib},
		}, []codestory.Path{chapterA(9), chapterA(5), chapterA(3)}},
		{"a new story's playable part before a backlog", []arrival{
			{0, metadataA, 1}, {0, chapterA(1), mib}, {0, chapterA(2), mib}, {0, chapterA(3), mib},
			{30 * time.Minute, metadataB, 1}, {30 * time.Minute, chapterB(1), mib}, {30 * time.Minute, chapterB(2), mib},
		}, []codestory.Path{metadataA, metadataB, chapterA(1), chapterB(1), chapterA(2), chapterA(3), chapterB(2)}},
		{"four hours outweigh everything", []arrival{
			{0, chapterA(2), 1 << 50}, {4 * time.Hour, metadataB, 0},
		}, []codestory.Path{chapterA(2), metadataB}},
		{"a little less does not", []arrival{
			{0, chapterA(2), 1 << 50}, {3 * time.Hour, metadataB, 0},
		}, []codestory.Path{metadataB, chapterA(2)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := open(t)
				start := time.Now()
				for _, a := range tt.arrivals {
					time.Sleep(time.Until(start.Add(a.after)))
					enqueue(t, q, change(a.path, 1, a.size))
				}
				if got := order(t, q); !slices.Equal(got, tt.want) {
					t.Errorf("the order is %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestNothingStarves: where more urgent files come as fast as they are worked off, a large file of the lowest rank has
// its turn all the same, within four hours.
func TestNothingStarves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := open(t)
		large := codestory.ChapterPath(storyA, 2)
		enqueue(t, q, change(large, 1, 1<<40))
		start := time.Now()
		for n := range 60 {
			id := codestory.StoryID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", n))
			enqueue(t, q, change(codestory.MetadataPath(id), 1, 100))
			if c := next(t, q); c.Path == large {
				if waited := time.Since(start); waited < 3*time.Hour || waited > 4*time.Hour {
					t.Errorf("it waited %v, want three to four hours", waited)
				}
				return
			}
			time.Sleep(5 * time.Minute)
		}
		t.Error("it never had its turn")
	})
}

// TestRewrittenFileKeepsItsPlace: a file that is rewritten while it waits does not go to the end each time.
func TestRewrittenFileKeepsItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := open(t)
		other := codestory.ChapterPath(storyB, 1)
		enqueue(t, q, change(chapter, 1, 10))
		start := time.Now()
		time.Sleep(time.Minute)
		enqueue(t, q, change(other, 1, 10))
		time.Sleep(time.Minute)
		enqueue(t, q, change(chapter, 2, 10))
		if s := stats(t, q); !s.Oldest.Equal(start) || s.Queued != 2 {
			t.Errorf("stats are %+v, want the oldest of %v", s, start)
		}
		if got, want := order(t, q), []codestory.Path{chapter, other}; !slices.Equal(got, want) {
			t.Errorf("the order is %q, want %q", got, want)
		}
	})
}
