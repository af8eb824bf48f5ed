package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// These are the powers that some stores have beyond Store. A store that lacks one does not implement its interface; if
// only some of its servers lack it, the error wraps errors.ErrUnsupported.

// ErrReplaced says that the object under the key is not, or no longer, the version that was named.
var ErrReplaced = errors.New("the object is not the one that was meant")

// Remover is a Store that deletes.
type Remover interface {
	// Remove deletes the objects under keys, with as few requests as the store allows. A key without an object is no
	// error, so an interrupted deletion can be repeated. A *RemoveError names the keys that were refused; all others
	// are gone. After any other error some may be gone.
	Remove(ctx context.Context, keys []string) error
}

// RemoveError says why single objects were not deleted.
type RemoveError struct {
	Failed map[string]error // by key; classified
}

func (e *RemoveError) Error() string {
	const shown = 3
	keys := slices.Sorted(maps.Keys(e.Failed))
	var text strings.Builder
	fmt.Fprintf(&text, "%d objects were not deleted", len(keys))
	for i, key := range keys[:min(shown, len(keys))] {
		fmt.Fprintf(&text, "%s%s: %v", map[bool]string{true: ": ", false: "; "}[i == 0], key, e.Failed[key])
	}
	if len(keys) > shown {
		fmt.Fprintf(&text, "; and %d more", len(keys)-shown)
	}
	return text.String()
}

// Unwrap gives the errors in the order of their keys.
func (e *RemoveError) Unwrap() []error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(e.Failed)) {
		errs = append(errs, e.Failed[key])
	}
	return errs
}

// Lister is a Store that lists its objects.
type Lister interface {
	// List yields the objects whose keys begin with prefix and are greater than after, in the order of the keys'
	// bytes; "" leaves out either condition. It requests pages as they are read and holds one page, or one folder, at
	// a time. An error ends it. Key, Size and Modified are those of Stat; ETag and MD5 may be "", ContentType is "".
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
}

// FormRequest says what a form is for. The store enforces each field as a condition.
type FormRequest struct {
	Key         string
	ContentType string
	MinBytes    int64 // of the content
	MaxBytes    int64
	Expires     time.Duration     // as in LinkRequest
	Metadata    map[string]string // user metadata; nil for none
}

// Form is what a browser posts as multipart/form-data: the fields in any order, then one named file.
type Form struct {
	URL     string
	Fields  map[string]string
	Expires time.Time // no later than the end of the credentials that signed it
}

// FormSigner is a Store that signs forms for uploading one object from a web page. It sends no request for that.
type FormSigner interface {
	Form(ctx context.Context, req FormRequest) (Form, error)
}

// Prover is a Store that keeps digests by which the content of an object can be verified.
type Prover interface {
	// Proof starts a digest of the content of object, which Stat or Put returned. nil without an error means that the
	// store has no digest of it.
	Proof(ctx context.Context, object Object) (Proof, error)
}

// Proof is written the whole content of an object, from its start. Writing does not fail.
type Proof interface {
	io.Writer
	// Verify returns nil if what was written has the digest of the object, else an error that wraps ErrDiffers.
	Verify() error
}

// Copier is a Store that copies within itself.
type Copier interface {
	// Copy stores the object from, which Stat or Put returned, under a second key, with its content type and metadata,
	// and proves it as Put does. If the store has another version by now the error wraps ErrReplaced, if it has none
	// codestory.ErrNotFound, and nothing is copied. errors.ErrUnsupported means that a copy of this object could not be
	// proved: it has to be put.
	Copy(ctx context.Context, from Object, to string) (Object, error)
}

// Credentialed is a Store whose credentials may be renewed while it is in use, by a file that is rewritten.
type Credentialed interface {
	// CredentialsSeen is an opaque text that changes when the credentials may have been renewed: a store that denied
	// access is then worth asking again at once. It reads only the local disk and contains no secret.
	CredentialsSeen() string
}

// UnansweredError is the failure of a Put of which everything was sent, and the store has not said whether it took it. It
// may still apply it at any later time, over what was stored meanwhile.
type UnansweredError struct {
	ETag string // of the object if the store takes it
	Err  error  // classified
}

func (e *UnansweredError) Error() string { return e.Err.Error() }
func (e *UnansweredError) Unwrap() error { return e.Err }
