// Package client is how the commands talk to the daemon that runs on this machine.
//
// It knows the API's shapes and nothing of what is behind them.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

var (
	// ErrNotRunning is wrapped if nothing listens at the daemon's address.
	ErrNotRunning = errors.New("codestoryd is not running")
	// ErrBusy is wrapped if the daemon does not answer in time, or has no room for the request.
	ErrBusy = errors.New("the daemon is busy: try again later")
)

// Problem is the error that the daemon answered.
type Problem = api.Problem

const (
	defaultTimeout = 30 * time.Second
	maxAnswerBytes = 64 << 20
)

// Options are what New can do without.
type Options struct {
	Timeout     time.Duration // of one whole call; 0 is 30 s
	Fingerprint string        // of the one certificate that an https daemon may show, as Fingerprint makes it
}

// Client calls one daemon. All methods may be called at the same time. Their errors wrap ErrNotRunning, ErrBusy or a *Problem
// if it is one of these.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New makes a client of the daemon at baseURL, such as "http://127.0.0.1:7788". The token goes to that daemon alone:
// no proxy is used, and no redirect followed.
func New(baseURL, token string, opts Options) *Client {
	timeout := opts.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	return &Client{
		base:  strings.TrimSuffix(baseURL, "/"),
		token: token,
		http: &http.Client{
			Transport:     &http.Transport{Proxy: nil, TLSClientConfig: pinned(opts.Fingerprint)},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       timeout,
		},
	}
}

// Close ends the connections that wait for a next call.
func (c *Client) Close() { c.http.CloseIdleConnections() }

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

// get asks for what is at path.
func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var answer T
	err := c.call(ctx, http.MethodGet, path, nil, &answer)
	return answer, err
}

// call sends one request, with body as JSON unless it is nil, and reads the answer into answer unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		sent = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, sent)
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if errors.Is(err, connectionRefused) {
		return fmt.Errorf("%w at %s", ErrNotRunning, c.base)
	}
	if isSilent(err) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	defer resp.Body.Close()
	return read(resp, answer)
}

// isSilent reports whether a daemon that listens has not answered: in time, or before it hung up.
func isSilent(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// read reads an answer: into v, or as the *Problem that it is. Anything else means that no codestoryd listens there.
func read(resp *http.Response, v any) error {
	body := io.LimitReader(resp.Body, maxAnswerBytes)
	contentType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case contentType == "application/problem+json":
		var p Problem
		if err := json.NewDecoder(body).Decode(&p); err != nil {
			return fmt.Errorf("read the daemon's answer, %s: %w", resp.Status, err)
		}
		if p.Code == "busy" || p.Code == "too_many_requests" {
			return fmt.Errorf("%w: %w", ErrBusy, &p)
		}
		return &p
	case resp.StatusCode == http.StatusNoContent && v == nil:
		return nil
	case resp.StatusCode/100 == 2 && contentType == "application/json" && v != nil:
		if err := json.NewDecoder(body).Decode(v); err != nil {
			return fmt.Errorf("read the daemon's answer: %w", err)
		}
		return nil
	default:
		return fmt.Errorf("what listens at %s answers %s, not as codestoryd does", resp.Request.URL.Host, resp.Status)
	}
}
