// Package client is how the commands talk to the daemon that runs on this machine.
//
// It knows the API's shapes and nothing of what is behind them.
package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

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

// Fingerprint is the SHA-256 of a certificate, in hexadecimal.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// pinned trusts the one certificate of that fingerprint, and no other: the daemon's is often made by its owner and names
// neither this machine nor an authority that this machine knows.
func pinned(fingerprint string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection is stricter
		VerifyConnection: func(state tls.ConnectionState) error {
			shown := Fingerprint(state.PeerCertificates[0])
			if subtle.ConstantTimeCompare([]byte(shown), []byte(fingerprint)) != 1 {
				return errors.New("another certificate than the daemon's is shown")
			}
			return nil
		},
	}
}
