package s3

import (
	"net/http"

	"github.com/codestory/codestoryd"
)

// rule is what an answer means for the queue.
type rule struct {
	class codestory.Class
	state codestory.RemoteState // with ClassPause only
	hint  string                // %b in it stands for the bucket, %e for the endpoint
}

func denied(hint string) rule  { return rule{codestory.ClassPause, codestory.RemoteDenied, hint} }
func missing(hint string) rule { return rule{codestory.ClassPause, codestory.RemoteMissing, hint} }
func full(hint string) rule    { return rule{codestory.ClassPause, codestory.RemoteFull, hint} }
func unavailable(hint string) rule {
	return rule{codestory.ClassPause, codestory.RemoteUnavailable, hint}
}
func blocked(hint string) rule { return rule{codestory.ClassBlock, "", hint} }

const (
	hintKey    = "the access key is not known at %e: check AWS_ACCESS_KEY_ID and S3_ENDPOINT_URL"
	hintSecret = "the secret key does not fit the access key: check AWS_SECRET_ACCESS_KEY"
	hintToken  = "the temporary credentials have ended or do not hold: renew AWS_SESSION_TOKEN and the keys that go with it"
	hintPolicy = "the access key may not do this in bucket %b: check the policies of the key and of the bucket"
	hintOwner  = "the account at %e is closed or not paid for: ask whoever runs it"
	hintKMS    = "the key that bucket %b is encrypted with is gone or disabled: ask whoever runs %e"
	hintBucket = "there is no bucket %b at %e: make it, or set S3_CREATE_BUCKET=1"
	hintTaken  = "the name %b is taken by somebody else's bucket: set S3_BUCKET to another"
	hintFull   = "there is no room left for bucket %b at %e: free some, or raise the quota"
	hintRegion = "bucket %b is in another region: set AWS_REGION to it"
	hintLarge  = "the file is larger than %e takes: split it"
	hintName   = "%e does not take an object of this name: rename the file"
	hintMeta   = "%e does not take this much metadata with an object"
	hintFolder = "a folder at %e has the name of this file: rename one of them"
)

// rules are the codes that are more than a reason to try again. Sources: the list of error codes in the API reference
// of Amazon S3, cmd/api-errors.go of MinIO, s3err of versitygw, and for QuotaExceeded the list of Ceph's RADOS Gateway.
var rules = map[string]rule{
	"AccessDenied":            denied(hintPolicy),
	"AccountProblem":          denied(hintOwner),
	"AllAccessDisabled":       denied(hintOwner),
	"ExpiredToken":            denied(hintToken),
	"ExpiredTokenException":   denied(hintToken),
	"InvalidAccessKeyId":      denied(hintKey),
	"InvalidClientTokenId":    denied(hintKey),
	"InvalidPayer":            denied(hintOwner),
	"InvalidSecurity":         denied(hintKey),
	"InvalidToken":            denied(hintToken),
	"InvalidTokenId":          denied(hintToken),
	"KMS.DisabledException":   denied(hintKMS),
	"KMS.NotFoundException":   denied(hintKMS),
	"NotSignedUp":             denied(hintOwner),
	"SignatureDoesNotMatch":   denied(hintSecret),
	"TokenRefreshRequired":    denied(hintToken),
	"UnauthorizedAccess":      denied(hintPolicy),
	"UnauthorizedAccessError": denied(hintPolicy),
	"XAdminUserNotFound":      denied(hintKey), // of versitygw, as a 404

	"BucketAlreadyExists": missing(hintTaken),
	"NoSuchBucket":        missing(hintBucket),

	"InsufficientStorage":            full(hintFull),
	"QuotaExceeded":                  full(hintFull),
	"XMinioAdminBucketQuotaExceeded": full(hintFull),
	"XMinioStorageFull":              full(hintFull),

	"AuthorizationHeaderMalformed":       unavailable(hintRegion),
	"IllegalLocationConstraintException": unavailable(hintRegion),
	"InvalidRegion":                      unavailable(hintRegion),
	"PermanentRedirect":                  unavailable(hintRegion),
	"TemporaryRedirect":                  unavailable(hintRegion),

	"EntityTooLarge":                blocked(hintLarge),
	"InvalidObjectName":             blocked(hintName),
	"InvalidURI":                    blocked(hintName),
	"KeyTooLongError":               blocked(hintName),
	"MetadataTooLarge":              blocked(hintMeta),
	"XMinioInvalidObjectName":       blocked(hintName),
	"XMinioInvalidResourceName":     blocked(hintName),
	"XMinioObjectExistsAsDirectory": blocked(hintFolder),
}

// statusRules are for codes that say nothing: those of other servers, and of proxies in front of them.
var statusRules = map[int]rule{
	http.StatusMovedPermanently:      unavailable(hintRegion),
	http.StatusTemporaryRedirect:     unavailable(hintRegion),
	http.StatusPermanentRedirect:     unavailable(hintRegion),
	http.StatusUnauthorized:          denied(hintPolicy),
	http.StatusForbidden:             denied(hintPolicy),
	http.StatusRequestEntityTooLarge: blocked(hintLarge),
	http.StatusRequestURITooLong:     blocked(hintName),
	http.StatusInsufficientStorage:   full(hintFull),
}
