package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/codestory/codestoryd"
)

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
