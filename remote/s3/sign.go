package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// maxForm is the most that S3 takes by a form, in bytes.
const maxForm = 5 << 30

// Link implements remote.Linker by a presigned URL for the endpoint that players use.
func (s *Store) Link(ctx context.Context, req remote.LinkRequest) (remote.Link, error) {
	doing := "link to " + req.Key
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return remote.Link{}, fmt.Errorf("%s: there are none for method %q", doing, req.Method)
	}
	expires, err := expiry(req.Expires)
	if err != nil {
		return remote.Link{}, fmt.Errorf("%s: %w", doing, err)
	}
	query := url.Values{}
	if req.ContentType != "" {
		query.Set("response-content-type", req.ContentType)
	}
	if req.Disposition != "" {
		query.Set("response-content-disposition", req.Disposition)
	}
	// The credentials first: if they are renewed in between, the link is valid for longer than it says.
	creds, err := s.signer(ctx)
	if err != nil {
		return remote.Link{}, err
	}
	signed, err := s.links.Presign(ctx, req.Method, s.info.Bucket, req.Key, expires, query)
	if err != nil {
		return remote.Link{}, s.fail(ctx, doing, err)
	}
	made, err := time.Parse("20060102T150405Z", signed.Query().Get("X-Amz-Date"))
	if err != nil {
		return remote.Link{}, fmt.Errorf("%s: %w", doing, err)
	}
	return remote.Link{URL: signed.String(), Expires: earlier(made.Add(expires), creds)}, nil
}

// signer is what links and forms are signed with at the moment.
func (s *Store) signer(ctx context.Context) (credentials.Value, error) {
	creds, err := s.links.GetCreds()
	if err != nil {
		return creds, s.fail(ctx, "sign", err)
	}
	return creds, nil
}

// expiry is how long a link or form is valid, in whole seconds.
func expiry(asked time.Duration) (time.Duration, error) {
	if asked == 0 {
		return remote.DefaultExpires, nil
	}
	if asked < remote.MinExpires || asked > remote.MaxExpires {
		return 0, fmt.Errorf("it cannot be valid for %v: 1 to 604,800 seconds are possible", asked)
	}
	return asked.Truncate(time.Second), nil
}

// earlier is end, or the end of the credentials if that comes first.
func earlier(end time.Time, creds credentials.Value) time.Time {
	if !creds.Expiration.IsZero() && creds.Expiration.Before(end) {
		return creds.Expiration
	}
	return end
}

// Form implements remote.FormSigner by a presigned POST for the endpoint that players use. The policy is written here and
// not by minio-go, which does not escape what it writes into it.
func (s *Store) Form(ctx context.Context, req remote.FormRequest) (remote.Form, error) {
	expires, err := checkForm(&req)
	if err != nil {
		return remote.Form{}, fmt.Errorf("form for %s: %w", req.Key, err)
	}
	creds, err := s.signer(ctx)
	if err != nil {
		return remote.Form{}, err
	}
	now := time.Now().UTC()
	fields := map[string]string{
		"key":              req.Key,
		"Content-Type":     req.ContentType,
		"x-amz-algorithm":  "AWS4-HMAC-SHA256",
		"x-amz-credential": signer.GetCredential(creds.AccessKeyID, s.region, now, signer.ServiceTypeS3),
		"x-amz-date":       now.Format("20060102T150405Z"),
	}
	if creds.SessionToken != "" {
		fields["x-amz-security-token"] = creds.SessionToken
	}
	for name, value := range headerValues(req.Metadata) {
		fields["x-amz-meta-"+strings.ToLower(name)] = value
	}
	end := now.Truncate(time.Second).Add(expires)
	policy, err := formPolicy(s.info.Bucket, fields, req, end)
	if err != nil {
		return remote.Form{}, fmt.Errorf("form for %s: %w", req.Key, err)
	}
	fields["policy"] = policy
	fields["x-amz-signature"] = signer.PostPresignSignatureV4(policy, now, creds.SecretAccessKey, s.region)
	return remote.Form{URL: bucketURL(s.public, s.info.Bucket), Fields: fields, Expires: earlier(end, creds)}, nil
}

// checkForm says what is wrong with a request, or how long the form is valid.
func checkForm(req *remote.FormRequest) (time.Duration, error) {
	switch {
	case req.ContentType == "":
		return 0, errors.New("it needs a content type")
	case req.MinBytes < 0 || req.MinBytes > req.MaxBytes || req.MaxBytes > maxForm:
		return 0, fmt.Errorf("it cannot take %d to %d bytes: 0 to 5 GiB are possible", req.MinBytes, req.MaxBytes)
	case strings.Contains(req.Key, "${filename}"): // S3 replaces that with a name that the client chose
		return 0, codestory.Block("a form cannot store under a key with ${filename} in it: rename the file", nil)
	}
	if err := storable(req.Key, req.MaxBytes); err != nil {
		return 0, err
	}
	return expiry(req.Expires)
}

// formPolicy allows exactly these fields, for a file of the requested size, in base64.
func formPolicy(bucket string, fields map[string]string, req remote.FormRequest, end time.Time) (string, error) {
	conditions := []any{[]any{"eq", "$bucket", bucket}, []any{"content-length-range", req.MinBytes, req.MaxBytes}}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		conditions = append(conditions, []any{"eq", "$" + name, fields[name]})
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(map[string]any{"expiration": end.Format("2006-01-02T15:04:05.000Z"), "conditions": conditions})
	return base64.StdEncoding.EncodeToString(bytes.TrimSpace(text.Bytes())), err
}

// bucketURL ends with a slash. It has the bucket in the host at AWS, unless a dot in its name would break the certificate,
// and in the path anywhere else.
func bucketURL(endpoint *url.URL, bucket string) string {
	if s3utils.IsVirtualHostSupported(*endpoint, bucket) {
		return endpoint.Scheme + "://" + bucket + "." + endpoint.Host + "/"
	}
	return endpoint.Scheme + "://" + endpoint.Host + "/" + bucket + "/"
}
