package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

// Status is how the daemon is.
func (c *Client) Status(ctx context.Context) (codestory.Status, error) {
	return get[codestory.Status](ctx, c, "/api/status")
}

// Ignored lists what is not uploaded, and why.
func (c *Client) Ignored(ctx context.Context) (api.IgnoredList, error) {
	return get[api.IgnoredList](ctx, c, "/api/status/ignored")
}

// Stories lists a page of the stories that the token may read, newest first. cursor is "" or the NextCursor of the
// page before; limit is 1 to 200, or 0 for the daemon's own.
func (c *Client) Stories(ctx context.Context, limit int, cursor string) (codestory.StoryPage, error) {
	q := url.Values{}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return get[codestory.StoryPage](ctx, c, "/api/storage/stories?"+q.Encode())
}

// Story describes one story.
func (c *Client) Story(ctx context.Context, id codestory.StoryID) (codestory.Story, error) {
	return get[codestory.Story](ctx, c, storyPath(id))
}

// Audio makes a link to a chapter, or with chapter 0 to the whole story. It lasts for expires, in whole seconds from 1 s
// to 7 days; 0 leaves that to the daemon.
func (c *Client) Audio(ctx context.Context, id codestory.StoryID, chapter int,
	expires time.Duration) (codestory.Link, error) {
	path := storyPath(id)
	if chapter != 0 {
		path += "/chapters/" + strconv.Itoa(chapter)
	}
	path += "/audio"
	if expires != 0 {
		path += "?expires_in=" + strconv.FormatInt(int64(expires/time.Second), 10)
	}
	return get[codestory.Link](ctx, c, path)
}

// Tokens lists the tokens that were added.
func (c *Client) Tokens(ctx context.Context) ([]codestory.Token, error) {
	list, err := get[api.TokenList](ctx, c, "/api/tokens")
	return list.Tokens, err
}

// AddToken makes a token and returns its secret, which the daemon tells this once.
func (c *Client) AddToken(ctx context.Context, req api.TokenRequest) (secret string, err error) {
	var token api.NewToken
	err = c.call(ctx, http.MethodPost, "/api/tokens", req, &token)
	return token.Secret, err
}

// RemoveToken ends a token. With keys the KEYs of its user are replaced too.
func (c *Client) RemoveToken(ctx context.Context, name string, keys bool) error {
	path := "/api/tokens/" + url.PathEscape(name)
	if keys {
		path += "?keys=1"
	}
	return c.call(ctx, http.MethodDelete, path, nil, nil)
}

// Health asks whether the daemon answers, and for its proof that it is the one of this data directory; see
// access.Proof. No token is shown.
func (c *Client) Health(ctx context.Context, challenge string) (proof string, err error) {
	stranger := &Client{base: c.base, http: c.http}
	health, err := get[api.Health](ctx, stranger, "/healthz?challenge="+url.QueryEscape(challenge))
	return health.Proof, err
}

func storyPath(id codestory.StoryID) string {
	return "/api/storage/stories/" + url.PathEscape(string(id))
}

// RotatePlayKey replaces the KEY of a story's player URLs and feed: the old ones open nothing once this has returned.
func (c *Client) RotatePlayKey(ctx context.Context, id codestory.StoryID) (codestory.KeyURLs, error) {
	var urls codestory.KeyURLs
	err := c.call(ctx, http.MethodPost, storyPath(id)+"/play-key", nil, &urls)
	return urls, err
}

// Library is how all the stories of one user are played; "" is the daemon's own user.
func (c *Client) Library(ctx context.Context, user string) (codestory.Library, error) {
	return get[codestory.Library](ctx, c, "/api/storage/library?"+url.Values{"user": {user}}.Encode())
}

// RotateLibraryKey replaces the KEY of a user's library, as RotatePlayKey does that of a story.
func (c *Client) RotateLibraryKey(ctx context.Context, user string) (codestory.Library, error) {
	var library codestory.Library
	err := c.call(ctx, http.MethodPost, "/api/storage/library/play-key?"+url.Values{"user": {user}}.Encode(), nil, &library)
	return library, err
}

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
