package s3

import "mime"

// headerValues are user metadata as S3 wants them in headers: what is no ASCII in the form of RFC 2047. So does AWS
// give them out, and every client that cares reads them.
func headerValues(metadata map[string]string) map[string]string {
	values := make(map[string]string, len(metadata))
	for name, value := range metadata {
		values[name] = mime.BEncoding.Encode("UTF-8", value)
	}
	return values
}
