package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// maxForm is the most that S3 takes by a form, in bytes.
const maxForm = 5 << 30

// Form implements remote.FormSigner by a presigned POST for the endpoint that players use. The policy is written here
// and not by minio-go, which does not escape what it writes into it.
func (s *Store) Form(ctx context.Context, req remote.FormRequest) (remote.Form, error) {
	expires, err := formFault(&req)
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

// formFault says what is wrong with a request, and how long the form is good for.
func formFault(req *remote.FormRequest) (time.Duration, error) {
	switch {
	case req.ContentType == "":
		return 0, fmt.Errorf("it needs a content type")
	case req.MinBytes < 0 || req.MinBytes > req.MaxBytes || req.MaxBytes > maxForm:
		return 0, fmt.Errorf("it cannot take %d to %d bytes: 0 to 5 GiB are possible", req.MinBytes, req.MaxBytes)
	case strings.Contains(req.Key, "${filename}"): // for which S3 puts a name that whoever posts has chosen
		return 0, codestory.Block("a form cannot store under a key with ${filename} in it: rename the file", nil)
	}
	if err := storable(req.Key, req.MaxBytes); err != nil {
		return 0, err
	}
	return expiry(req.Expires)
}

// formPolicy allows the fields as they are and nothing else, for a file of that size, in base64.
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

// earlier is end, or the end of the credentials where that comes first.
func earlier(end time.Time, creds credentials.Value) time.Time {
	if !creds.Expiration.IsZero() && creds.Expiration.Before(end) {
		return creds.Expiration
	}
	return end
}
