package s3

import (
	"net/url"

	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// URL implements remote.Locator: with the bucket in the host at AWS, unless a dot in its name would break the
// certificate, and in the path anywhere else.
func (s *Store) URL(key string) string {
	return bucketURL(s.public, s.info.Bucket) + s3utils.EncodePath(key)
}

// bucketURL ends with a slash.
func bucketURL(endpoint *url.URL, bucket string) string {
	if s3utils.IsVirtualHostSupported(*endpoint, bucket) {
		return endpoint.Scheme + "://" + bucket + "." + endpoint.Host + "/"
	}
	return endpoint.Scheme + "://" + endpoint.Host + "/" + bucket + "/"
}
