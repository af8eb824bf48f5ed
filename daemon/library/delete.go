package library

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// What a person may do to a story. Killed at any point, a deletion that was made durable goes on: the sweep comes back
// to every object that is still to be deleted.

// deletedByRequest is why the files of a deleted story that are still here are ignored.
const deletedByRequest = "deleted by request"

const (
	removeBatch   = 1000             // objects that one request deletes, as S3 has it
	removeTimeout = 10 * time.Second // of what a person waits for; the sweep has patience
)

// Delete takes the story out of the queue and deletes what this daemon stored of it, or signed a form for.
func (l *Library) Delete(ctx context.Context, id codestory.StoryID, local bool) error {
	if _, err := l.Owner(ctx, id); err != nil {
		return err
	}
	if err := l.queue.Delete(id, deletedByRequest); err != nil {
		return err
	}
	if err := l.uploads.Cut(ctx, id); err != nil {
		return err
	}
	if local {
		if err := l.removeLocal(id); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	if err := l.removeObjects(ctx, id); err != nil {
		l.log.Warn("objects of a deleted story are still in the store; they are deleted when it answers", "story", id, "error", err)
	}
	return nil
}

// removeLocal removes the story's folder and forgets its files.
func (l *Library) removeLocal(id codestory.StoryID) error {
	if err := l.tree.RemoveStory(id); err != nil {
		return err
	}
	files, err := l.queue.Files(id)
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, err := l.tree.Stat(codestory.Path(f.Path)); !errors.Is(err, codestory.ErrNotFound) {
			continue // written anew
		}
		if err := l.queue.Vanished(f.Path); err != nil {
			return err
		}
	}
	return nil
}

// removeObjects deletes from the store what is to be deleted of the story, or of all where id is "".
func (l *Library) removeObjects(ctx context.Context, id codestory.StoryID) error {
	remover, ok := l.store.(remote.Remover)
	if !ok {
		return fmt.Errorf("deleting: %w by this store", errors.ErrUnsupported)
	}
	for {
		removals, err := l.queue.Removals(id, removeBatch)
		if err != nil || len(removals) == 0 {
			return err
		}
		if err := l.removeBatch(ctx, remover, removals); err != nil {
			return err
		}
	}
}

// removeBatch settles every one of the removals. Those that the store refuses come again at a later time.
func (l *Library) removeBatch(ctx context.Context, remover remote.Remover, removals []queue.Removal) error {
	keys := make([]string, len(removals))
	for i, r := range removals {
		keys[i] = r.Path.Key()
	}
	err := remover.Remove(ctx, keys)
	refused, partly := errors.AsType[*remote.RemoveError](err)
	for _, r := range removals {
		if err != nil && (!partly || refused.Failed[r.Path.Key()] != nil) {
			r.Release()
			continue
		}
		l.absent.add(r.Path)
		if doneErr := r.Done(); doneErr != nil {
			err = errors.Join(err, doneErr)
		}
	}
	return err
}

const problemDeletionsWait = "deletions_wait"

// reportRemovals reports the objects of deleted stories that are still in the store.
func (l *Library) reportRemovals() error {
	n, since, err := l.queue.RemovalsWaiting()
	if err != nil {
		return err
	}
	if n == 0 {
		l.problems.Clear(problemDeletionsWait)
		return nil
	}
	l.problems.Report(codestory.Problem{
		Code:    problemDeletionsWait,
		Message: fmt.Sprintf("%d objects of deleted stories are still in the store; they are deleted when it answers and allows it", n),
		Since:   since,
	})
	return nil
}
