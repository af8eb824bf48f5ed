package api_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
	"github.com/codestory/codestoryd/api/client"
)

// waiting is a queue in memory. Its cursors are paths.
type waiting struct {
	mu     sync.Mutex
	items  []codestory.QueueItem
	paused bool
}

func (q *waiting) Queue(_ context.Context, state codestory.FileState, limit int, cursor string) (codestory.QueuePage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	page := codestory.QueuePage{Items: []codestory.QueueItem{}}
	from := 0
	if cursor != "" {
		if from = 1 + slices.IndexFunc(q.items, func(i codestory.QueueItem) bool { return i.Path == cursor }); from == 0 {
			return page, codestory.ErrCursor
		}
	}
	for _, item := range q.items[from:] {
		if state != "" && item.State != state {
			continue
		}
		if len(page.Items) == limit {
			page.NextCursor = &page.Items[limit-1].Path
			break
		}
		page.Items = append(page.Items, item)
	}
	return page, nil
}

func (q *waiting) Retry(_ context.Context, path string) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.items {
		if item := &q.items[i]; item.State == codestory.Blocked && (path == "" || path == item.Path) {
			item.State = codestory.Queued
			n++
		}
	}
	if n == 0 && path != "" {
		return 0, fmt.Errorf("%s: %w", path, codestory.ErrNotFound)
	}
	return n, nil
}

func (q *waiting) Drop(_ context.Context, path string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(q.items), func(i codestory.QueueItem) bool { return i.Path == path })
	if len(left) == len(q.items) {
		return fmt.Errorf("%s: %w", path, codestory.ErrNotFound)
	}
	q.items = left
	return nil
}

func (q *waiting) Pause(_ context.Context, paused bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused = paused
	return nil
}

func TestQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	why := "the store refuses the name: rename the file"
	w.queue.items = []codestory.QueueItem{
		{Path: "a/1 + 2%#?.mp3", State: codestory.Queued},
		{Path: "a/2.mp3", State: codestory.Blocked, Reason: &why},
		{Path: "a/3.mp3", State: codestory.Blocked},
	}
	c := client.New(w.public, ownerToken, client.Options{})
	t.Cleanup(c.Close)

	page, err := c.Queue(t.Context(), "", 2, "")
	if err != nil || len(page.Items) != 2 || page.NextCursor == nil || *page.Items[1].Reason != why {
		t.Fatalf("first page: %+v, %v", page, err)
	}
	page, err = c.Queue(t.Context(), "", 2, *page.NextCursor)
	if err != nil || len(page.Items) != 1 || page.NextCursor != nil {
		t.Errorf("second page: %+v, %v", page, err)
	}
	page, err = c.Queue(t.Context(), codestory.Blocked, 0, "")
	if err != nil || len(page.Items) != 2 {
		t.Errorf("blocked: %+v, %v", page, err)
	}
	if n, err := c.Retry(t.Context(), "a/2.mp3"); n != 1 || err != nil {
		t.Errorf("retry of one: %d, %v", n, err)
	}
	if n, err := c.Retry(t.Context(), ""); n != 1 || err != nil {
		t.Errorf("retry of all: %d, %v", n, err)
	}
	if err := c.Drop(t.Context(), "a/1 + 2%#?.mp3"); err != nil || len(w.queue.items) != 2 {
		t.Errorf("drop: %v, %v left", err, w.queue.items)
	}
	if err := c.Pause(t.Context(), true); err != nil || !w.queue.paused {
		t.Errorf("pause: %v", err)
	}
	if err := c.Pause(t.Context(), false); err != nil || w.queue.paused {
		t.Errorf("resume: %v", err)
	}

	wantProblem(t, w.request("GET", "/api/queue?state=lost", ownerToken), 400, "invalid_parameter")
	wantProblem(t, w.request("GET", "/api/queue?limit=0", ownerToken), 400, "invalid_parameter")
	wantProblem(t, w.request("GET", "/api/queue?cursor=x", ownerToken), 400, "invalid_cursor")
	wantProblem(t, w.request("GET", "/api/queue", aliceToken), 403, "scope_insufficient")
	wantProblem(t, w.request("DELETE", "/api/queue/a/9.mp3", ownerToken), 404, "not_found")
	wantProblem(t, w.request("DELETE", "/api/queue/a/2.mp3", aliceToken), 403, "scope_insufficient")
	wantProblem(t, w.post("/api/queue/retry", ownerToken, "application/json", `{"path": "a/9.mp3"}`), 404, "not_found")
	wantProblem(t, w.post("/api/queue/retry", ownerToken, "application/json", `{"file": "x"}`), 400, "invalid_body")
	wantProblem(t, w.post("/api/queue/burn", ownerToken, "application/json", ``), 405, "method_not_allowed")
	wantProblem(t, w.post("/api/queue/pause", aliceToken, "application/json", ``), 403, "scope_insufficient")
}

var _ api.Queue = (*waiting)(nil)
