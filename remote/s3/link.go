package s3

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// Link implements remote.Linker by a presigned URL, made for the endpoint that players use.
func (s *Store) Link(ctx context.Context, req remote.LinkRequest) (remote.Link, error) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return remote.Link{}, fmt.Errorf("link to %s: there are none for method %q", req.Key, req.Method)
	}
	answer := url.Values{}
	if req.ContentType != "" {
		answer.Set("response-content-type", req.ContentType)
	}
	if req.Disposition != "" {
		answer.Set("response-content-disposition", req.Disposition)
	}
	// The credentials first: should they be renewed in between, the link is good for longer than it says.
	creds, err := s.links.GetCreds()
	if err != nil {
		return remote.Link{}, codestory.Pause(codestory.RemoteDenied, "the credentials cannot be had: check AWS_PROFILE", err)
	}
	signed, err := s.links.Presign(ctx, req.Method, s.info.Bucket, req.Key, req.Expires, answer)
	if err != nil {
		return remote.Link{}, s.fail(ctx, "link to "+req.Key, err)
	}
	expires, err := endOf(signed)
	if err != nil {
		return remote.Link{}, fmt.Errorf("link to %s: %w", req.Key, err)
	}
	if end := creds.Expiration; !end.IsZero() && end.Before(expires) {
		expires = end
	}
	return remote.Link{URL: signed.String(), Expires: expires}, nil
}

// endOf reads when the server will no longer take a presigned URL.
func endOf(signed *url.URL) (time.Time, error) {
	query := signed.Query()
	made, err := time.Parse("20060102T150405Z", query.Get("X-Amz-Date"))
	if err != nil {
		return time.Time{}, err
	}
	lasts, err := time.ParseDuration(query.Get("X-Amz-Expires") + "s")
	return made.Add(lasts), err
}
