package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// fail translates err, which ended doing something. It is the one place where the errors of S3 become ours.
func (s *Store) fail(ctx context.Context, doing string, err error) error {
	if ended := ctx.Err(); ended != nil {
		if !errors.Is(err, ended) {
			err = fmt.Errorf("%w: %w", ended, err)
		}
		return fmt.Errorf("%s: %w", doing, err)
	}
	if answer, ok := errors.AsType[minio.ErrorResponse](err); ok {
		err = &answerError{answer}
	}
	cause := fmt.Errorf("%s: %w", doing, err)
	r := s.ruleFor(err)
	if r.hint == hintToken || r.hint == hintKey || r.hint == hintSecret {
		s.creds.Expire() // the next request gets them again
	}
	hint := strings.NewReplacer("%b", s.info.Bucket, "%e", s.info.Endpoint).Replace(r.hint)
	switch r.class {
	case codestory.ClassPause:
		return codestory.Pause(r.state, hint, cause)
	case codestory.ClassBlock:
		return codestory.Block(hint, cause)
	default:
		return cause
	}
}

// failVersion is fail for a call about one version of an object: there may be none, or another one.
func (s *Store) failVersion(ctx context.Context, doing string, err error) error {
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	_, known := rules[answer.Code]
	switch {
	case !ok || known || ctx.Err() != nil:
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s: %w: %w", doing, codestory.ErrNotFound, &answerError{answer})
	case answer.StatusCode == http.StatusPreconditionFailed:
		return fmt.Errorf("%s: %w: %w", doing, remote.ErrReplaced, &answerError{answer})
	}
	return s.fail(ctx, doing, err)
}

// ruleFor finds the rule for an error; the zero rule, to retry, if there is none.
func (s *Store) ruleFor(err error) rule {
	answer, ok := errors.AsType[*answerError](err)
	if !ok {
		return connectionRule(err)
	}
	if answer.Code == minio.RequestTimeTooSkewed {
		return unavailable(clockHint(time.Duration(s.transport.skew.Load())))
	}
	r, ok := rules[answer.Code]
	if !ok {
		r = statusRules[answer.StatusCode]
	}
	if r.hint == hintRegion && answer.Region != "" {
		r.hint = "bucket %b is in region " + answer.Region + ": set AWS_REGION=" + answer.Region
	}
	return r
}

// clockHint is for a skew that is the server's clock minus ours.
func clockHint(skew time.Duration) string {
	seconds := int64(skew.Round(time.Second) / time.Second)
	switch {
	case seconds > 0:
		return fmt.Sprintf("this computer's clock is %d seconds behind that of %%e: set it right", seconds)
	case seconds < 0:
		return fmt.Sprintf("this computer's clock is %d seconds ahead of that of %%e: set it right", -seconds)
	default:
		return "this computer's clock differs from that of %e: set it right"
	}
}

// connectionRule is for requests without an answer. A connection that breaks is worth another attempt of the item; one
// that was never made, or not to an S3 server, is the fault of the destination.
func connectionRule(err error) rule {
	if lost, ok := errors.AsType[*credentialsError](err); ok {
		if _, ok := errors.AsType[net.Error](lost.err); ok {
			return unavailable("the server that issues the credentials cannot be reached: " + oneLine(lost.err))
		}
		return denied("there are no credentials now: " + oneLine(lost.err))
	}
	if _, ok := errors.AsType[*foreignError](err); ok {
		return unavailable("what answers at %e is no S3 server: check S3_ENDPOINT_URL, or whether this network wants a login")
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return unavailable("%e cannot be reached, the name " + dns.Name + " is not found: check the network and S3_ENDPOINT_URL")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect") {
		return unavailable("%e cannot be reached: " + op.Err.Error())
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return unavailable("the certificate of %e is not trusted: " + cert.Err.Error())
	}
	_, header := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	if header || alert || errors.Is(err, http.ErrSchemeMismatch) {
		return unavailable("%e does not speak TLS as S3_ENDPOINT_URL says: check whether it begins with http or https")
	}
	return rule{}
}

// codeOf is the code of a server's refusal; "" if err is not one.
func codeOf(err error) string {
	answer, _ := errors.AsType[minio.ErrorResponse](err)
	return answer.Code
}

// answerError is an S3 server's refusal, with all that its operator needs to find it in a log.
type answerError struct{ minio.ErrorResponse }

func (e *answerError) Error() string {
	s := fmt.Sprintf("%s (%d): %s", e.Code, e.StatusCode, e.ErrorResponse.Error())
	if e.RequestID != "" {
		s += " [request " + e.RequestID + "]"
	}
	return s
}
