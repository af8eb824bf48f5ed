package s3

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

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
	creds, err := s.signer(ctx)
	if err != nil {
		return remote.Link{}, err
	}
	key := recentKey{req, creds}
	if link, ok := s.recent.get(key); ok {
		return link, nil
	}
	link, made, err := s.presign(ctx, req.Method, req.Key, req.Expires, answer, nil)
	if err == nil {
		s.recent.put(key, link, made)
	}
	return link, err
}

// PutLink implements remote.PutLinker by a presigned URL that has the content type among what is signed.
func (s *Store) PutLink(ctx context.Context, req remote.PutLinkRequest) (remote.Link, error) {
	if err := storable(req.Key, 0); err != nil {
		return remote.Link{}, err
	}
	var signed http.Header
	if req.ContentType != "" {
		signed = http.Header{"Content-Type": {req.ContentType}}
	}
	link, _, err := s.presign(ctx, http.MethodPut, req.Key, req.Expires, nil, signed)
	return link, err
}

// presign returns the link, and when it was made.
func (s *Store) presign(ctx context.Context, method, key string, expires time.Duration, query url.Values, header http.Header,
) (link remote.Link, made time.Time, err error) {
	expires, err = expiry(expires)
	if err != nil {
		return remote.Link{}, time.Time{}, fmt.Errorf("link to %s: %w", key, err)
	}
	// The credentials first: should they be renewed in between, the link is good for longer than it says.
	creds, err := s.signer(ctx)
	if err != nil {
		return remote.Link{}, time.Time{}, err
	}
	signed, err := s.links.PresignHeader(ctx, method, s.info.Bucket, key, expires, query, header)
	if err != nil {
		return remote.Link{}, time.Time{}, s.fail(ctx, "link to "+key, err)
	}
	end, err := endOf(signed)
	if err != nil {
		return remote.Link{}, time.Time{}, fmt.Errorf("link to %s: %w", key, err)
	}
	return remote.Link{URL: signed.String(), Expires: earlier(end, creds)}, end.Add(-expires), nil
}

// signer is what links and forms are signed with at the moment.
func (s *Store) signer(ctx context.Context) (credentials.Value, error) {
	creds, err := s.links.GetCreds()
	if err != nil {
		return creds, s.fail(ctx, "sign", err)
	}
	return creds, nil
}

// expiry is how long a link or form is good for, in whole seconds.
func expiry(asked time.Duration) (time.Duration, error) {
	if asked == 0 {
		return remote.DefaultExpires, nil
	}
	if asked < remote.MinExpires || asked > remote.MaxExpires {
		return 0, fmt.Errorf("it cannot be good for %v: 1 to 604,800 seconds are possible", asked)
	}
	return asked.Truncate(time.Second), nil
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
