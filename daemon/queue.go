package daemon

import (
	"context"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// What a person may do to the queue.

// droppedByRequest is why a file that was dropped is ignored.
const droppedByRequest = "dropped by request"

// Queue lists what waits, and why.
func (d *Daemon) Queue(_ context.Context, state codestory.FileState, limit int, cursor string) (codestory.QueuePage, error) {
	now, err := d.StatusContext()
	if err != nil {
		return codestory.QueuePage{}, err
	}
	return listQueue(d.queue, state, limit, cursor, now.Reason)
}

// OfflineQueue lists what waits in the database while no daemon runs.
func OfflineQueue(q *queue.Queue, state codestory.FileState, limit int, cursor string) (codestory.QueuePage, error) {
	return listQueue(q, state, limit, cursor, func(f queue.File) string {
		if f.State == codestory.Queued {
			return "the daemon is not running"
		}
		return f.Reason
	})
}

func listQueue(q *queue.Queue, state codestory.FileState, limit int, cursor string, why func(queue.File) string) (codestory.QueuePage, error) {
	files, next, err := q.Items(state, limit, cursor)
	if err != nil {
		return codestory.QueuePage{}, err
	}
	page := codestory.QueuePage{Items: make([]codestory.QueueItem, 0, len(files)), NextCursor: text(next)}
	for _, f := range files {
		item := codestory.QueueItem{
			Path: f.Path, Key: codestory.Path(f.Path).Key(), State: f.State, Size: f.Size(),
			Attempt: f.Attempt, Reason: text(why(f)),
		}
		if !f.Due.IsZero() {
			item.NextAttempt = &f.Due
		}
		page.Items = append(page.Items, item)
	}
	return page, nil
}

// Retry tries one file at once, or all that wait for another attempt or a person where path is "". It returns how many
// there were. A store that is at fault is asked at once.
func (d *Daemon) Retry(_ context.Context, path string) (int, error) {
	defer d.uploads.ProbeNow()
	if path == "" {
		return d.queue.RetryAll()
	}
	return 1, d.queue.Retry(path)
}

// Drop takes a file out of the queue, until it changes.
func (d *Daemon) Drop(_ context.Context, path string) error {
	return d.queue.Drop(path, droppedByRequest)
}

// Pause begins no uploads until it is told otherwise, restarts included.
func (d *Daemon) Pause(_ context.Context, paused bool) error { return d.queue.SetPaused(paused) }
