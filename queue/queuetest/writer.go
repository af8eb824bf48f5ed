package queuetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// The writer prints what it is about to do, does it, and prints that it is done: "> enqueue LANE VERSION" and
// "< enqueue LANE VERSION", "> OUTCOME PATH VERSION" and "< OUTCOME PATH VERSION". Each line is one write to a pipe,
// and so arrives whole or not at all.
const (
	begun = ">"
	acked = "<"

	ready   = "ready"
	enqueue = "enqueue"
	done    = "done"
	retry   = "retry"
	block   = "block"
	changed = "changed"
)

const (
	lanes       = 3
	writerLimit = 20 * time.Second // for a writer that nobody kills
)

// laneStory is the story of which a lane enqueues the metadata and a chapter, always both in one call.
func laneStory(lane int) codestory.StoryID {
	return codestory.StoryID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", lane))
}

func lanePaths(lane int) [2]codestory.Path {
	id := laneStory(lane)
	return [2]codestory.Path{codestory.MetadataPath(id), codestory.ChapterPath(id, 1)}
}

func versionOf(n int64) codestory.Version { return codestory.Version{Size: n, ModTime: n} }

func titleOf(n int64) string { return fmt.Sprint("title ", n) }

func etagOf(n int64) string { return fmt.Sprint("etag ", n) }

// write changes the database from several goroutines until it is killed.
func write(path string) error {
	q, err := queue.Open(path, "a", queue.Options{})
	if err != nil {
		return err
	}
	fmt.Println(ready)
	ctx, cancel := context.WithTimeout(context.Background(), writerLimit)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	for lane := range lanes {
		g.Go(func() error { return writeLane(ctx, q, lane) })
	}
	g.Go(func() error { return work(ctx, q) })
	g.Go(func() error {
		for ctx.Err() == nil {
			pause(ctx)
			if err := q.Backup(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(g.Wait(), q.Close())
}

// writeLane enqueues one version after another of the lane's two files.
func writeLane(ctx context.Context, q *queue.Queue, lane int) error {
	paths := lanePaths(lane)
	f, err := q.File(paths[0])
	if err != nil && !errors.Is(err, codestory.ErrNotFound) {
		return err
	}
	for n := f.Version.Size + 1; ctx.Err() == nil; n++ {
		event := fmt.Sprintf("%s %d %d", enqueue, lane, n)
		say(begun, event)
		err := q.Enqueue([]queue.Change{
			{Path: string(paths[0]), Version: versionOf(n), Metadata: &codestory.Metadata{Title: titleOf(n)}},
			{Path: string(paths[1]), Version: versionOf(n)},
		})
		if err != nil {
			return err
		}
		say(acked, event)
		pause(ctx)
	}
	return nil
}

// work claims one file after another and settles it in some way. There is one worker only, so that what it says of a
// path is in the order in which it happened.
func work(ctx context.Context, q *queue.Queue) error {
	for {
		c, err := q.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		pause(ctx)
		outcome := []string{done, done, done, retry, retry, block, changed}[rand.IntN(7)]
		event := fmt.Sprintf("%s %s %d", outcome, c.Path, c.Version.Size)
		say(begun, event)
		switch outcome {
		case done:
			err = c.Finish(queue.Outcome{Kind: queue.Done, Object: queue.Stored{Size: c.Version.Size, ETag: etagOf(c.Version.Size)}})
		case retry:
			err = c.Finish(queue.Outcome{Kind: queue.Retry, Due: time.Now(), Reason: retry})
		case block:
			err = c.Finish(queue.Outcome{Kind: queue.Block, Reason: block})
		case changed:
			err = c.Finish(queue.Outcome{Kind: queue.Changed})
		}
		if err != nil {
			return err
		}
		say(acked, event)
	}
}

// pause lets the other goroutines come in between.
func pause(ctx context.Context) {
	t := time.NewTimer(time.Duration(rand.Int64N(int64(2 * time.Millisecond))))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func say(mark, event string) {
	_, _ = os.Stdout.WriteString(mark + " " + event + "\n")
}
