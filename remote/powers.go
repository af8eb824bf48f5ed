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

	"github.com/codestory/codestoryd"
)

// What follows is what some stores can do beyond Store. Where a store cannot, it does not implement the interface;
// where only some of its servers cannot, the error wraps errors.ErrUnsupported.

// ErrReplaced says that the object under the key is not the version that was named, or not any more.
var ErrReplaced = errors.New("the object is not the one that was meant")

// Exists reports whether the store has an object under key. Only the store's own word that there is none makes it
// false without an error.
func Exists(ctx context.Context, store Store, key string) (bool, error) {
	_, err := store.Stat(ctx, key)
	if errors.Is(err, codestory.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Remover is a Store that deletes.
type Remover interface {
	// Remove deletes the objects under keys, with as few requests as the store allows. A key under which there is
	// none is no error, so that what was cut off can be done again. A *RemoveError names the keys that were refused,
	// all others are gone then; with another error some may be gone.
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

// Lister is a Store that can tell what it holds.
type Lister interface {
	// List gives the objects whose keys begin with prefix and come after the key after, in the order of the keys'
	// bytes; "" leaves out either condition. It asks as it is read, and holds no more than a page, or a folder, at a
	// time. An error ends it. Key, Size and Modified are those of Stat; ETag and MD5 may be "" and ContentType is.
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
}

// Locator is a Store whose objects have a plain URL, good for whoever the store lets in without a signature.
type Locator interface {
	// URL is the object's, escaped, at the address that players use. Nobody is asked for it.
	URL(key string) string
}

// PutLinkRequest says what a link to put an object is for.
type PutLinkRequest struct {
	Key         string
	ContentType string        // the only one that is taken, by a header of the request; "" lets any pass
	Expires     time.Duration // as in LinkRequest
}

// PutLinker is a Store that makes links by which one object can be put, whole, with the method PUT.
type PutLinker interface {
	PutLink(ctx context.Context, req PutLinkRequest) (Link, error)
}

// FormRequest says what a form is for. Each of its fields is a condition, which the store enforces.
type FormRequest struct {
	Key         string
	ContentType string
	MinBytes    int64 // of the content
	MaxBytes    int64
	Expires     time.Duration     // as in LinkRequest
	Metadata    map[string]string // user metadata; nil for none
}

// Form is what a browser posts as multipart/form-data: the fields, in any order, and after them one named file.
type Form struct {
	URL     string
	Fields  map[string]string
	Expires time.Time // its true end: no later than that of the credentials that signed it
}

// FormSigner is a Store that makes forms, by which one object can be uploaded from a web page. It does so without
// asking the store.
type FormSigner interface {
	Form(ctx context.Context, req FormRequest) (Form, error)
}

// VersionOpener is a Store that opens one version of an object or nothing.
type VersionOpener interface {
	// OpenVersion is Open for the object that has that Key and ETag; for another one the error wraps ErrReplaced.
	OpenVersion(ctx context.Context, object Object, offset, length int64) (io.ReadCloser, error)
}

// Prover is a Store that keeps a digest of every object, by which a copy of one is known to be right.
type Prover interface {
	// Proof begins to digest the content of the object, which Stat or Put returned. nil without an error means that
	// the store knows no digest of this one.
	Proof(ctx context.Context, object Object) (Proof, error)
}

// Proof is written to with all of an object, from its start. Writing does not fail.
type Proof interface {
	io.Writer
	// Verify returns nil where what was written has the digest of the object.
	Verify() error
}

// Copier is a Store that copies within itself.
type Copier interface {
	// Copy stores the object from, which Stat or Put returned, under another key too, with its content type and
	// metadata, and proves it as Put does. Where the store has another version by now the error wraps ErrReplaced,
	// where it has none codestory.ErrNotFound, and nothing is copied. One that wraps errors.ErrUnsupported means
	// that this object cannot be copied so that it is proved: it has to be put.
	Copy(ctx context.Context, from Object, to string) (Object, error)
}
