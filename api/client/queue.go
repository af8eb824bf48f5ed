package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

// Queue lists a page of what waits: files of one state, or all if it is "". cursor is "" or the NextCursor of the
// page before; limit is 1 to 1,000, or 0 for the daemon's own.
func (c *Client) Queue(ctx context.Context, state codestory.FileState, limit int, cursor string) (codestory.QueuePage, error) {
	q := url.Values{}
	if state != "" {
		q.Set("state", string(state))
	}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return get[codestory.QueuePage](ctx, c, "/api/queue?"+q.Encode())
}

// Retry tries a file at once, or if path is "" all that wait for another attempt or a person, and returns how many
// there were.
func (c *Client) Retry(ctx context.Context, path string) (int, error) {
	var answer api.RetryAnswer
	err := c.call(ctx, http.MethodPost, "/api/queue/retry", api.RetryRequest{Path: path}, &answer)
	return answer.Retried, err
}

// Drop takes a file out of the queue, until it changes.
func (c *Client) Drop(ctx context.Context, path string) error {
	elements := strings.Split(path, "/")
	for i, e := range elements {
		elements[i] = url.PathEscape(e)
	}
	return c.call(ctx, http.MethodDelete, "/api/queue/"+strings.Join(elements, "/"), nil, nil)
}

// Pause begins no uploads until it is resumed, restarts of the daemon included.
func (c *Client) Pause(ctx context.Context, paused bool) error {
	action := "resume"
	if paused {
		action = "pause"
	}
	var answer api.PauseAnswer
	return c.call(ctx, http.MethodPost, "/api/queue/"+action, nil, &answer)
}
