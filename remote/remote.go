// Package remote defines what the daemon needs of object storage. A Store puts a whole object or nothing, and proves it;
// the powers that only some stores have are small interfaces of their own.
//
// It must not know the queue, the output directory or HTTP routes. The adapters in its folders translate their vendor's
// errors, once and by code, into the classes of package codestory; nothing here retries.
package remote

import (
	"context"
	"io"
	"strings"
	"time"
)

// Info identifies a store, for people and for the index.
type Info struct {
	Kind     string // local, s3 or rclone
	Endpoint string // a URL, a folder or an rclone remote
	Bucket   string // "" if it has none
}

// Destination identifies the store in the index: two stores that do not hold the same objects have different ones.
func (i Info) Destination() string { return i.Kind + "\t" + i.Endpoint + "\t" + i.Bucket }

// ParseDestination reverses Destination; "" is the zero Info.
func ParseDestination(s string) Info {
	kind, rest, _ := strings.Cut(s, "\t")
	endpoint, bucket, _ := strings.Cut(rest, "\t")
	return Info{Kind: kind, Endpoint: endpoint, Bucket: bucket}
}

// Object is an object in a store.
type Object struct {
	Key         string
	Size        int64     // bytes
	ETag        string    // without quotes; "" if the store has none
	MD5         string    // of the content, lower-case hexadecimal; "" if it is not known
	ContentType string    // "" if the store keeps none
	Modified    time.Time // zero if the store does not say
}

// Source is an open file, in one version. Its opener closes it.
type Source interface {
	io.ReaderAt
	// Size is the number of bytes of the version.
	Size() int64
	// Check returns nil while the file is still the version that was opened, then an error that wraps
	// codestory.ErrChanged.
	Check() error
}

// PutOptions are optional; the zero value is ready to use.
type PutOptions struct {
	ContentType string
	Metadata    map[string]string // user metadata; nil for none
	// Ledger keeps the state of an upload in parts between attempts. Without one a large object starts over each time.
	Ledger Ledger
	// Progress is called with the number of bytes sent, and with those that an earlier attempt sent. Several goroutines
	// may call it at once. Bytes that are sent again count again.
	Progress func(n int64)
	// Silent is called if the store has not answered some seconds after everything was sent, with the ETag that the
	// object has if the store takes it. It may be called during Put or just after.
	Silent func(etag string)
}

// Meter is Progress as a writer of the bytes themselves.
func (o PutOptions) Meter() io.Writer { return meter(o.Progress) }

type meter func(n int64)

func (m meter) Write(p []byte) (int, error) {
	if m != nil {
		m(int64(len(p)))
	}
	return len(p), nil
}

// Ledger keeps the state of one upload in parts: of this version of this object, in this store. The state is opaque text
// of the store.
type Ledger interface {
	// State is what was saved last; nil if nothing was.
	State() []byte
	// Save makes the state durable before it returns nil.
	Save(state []byte) error
}

// Aborter is a Store whose uploads in parts take up room until they are completed or aborted.
type Aborter interface {
	// Abort ends the upload whose state was saved in a Ledger, and frees what the store holds of it. If it is gone
	// already that is no error. It touches no upload but that.
	Abort(ctx context.Context, key string, state []byte) error
}

// Store keeps objects. All methods may be called concurrently. Errors are classified (codestory.ClassOf); a store retries
// nothing.
type Store interface {
	// Info does no I/O.
	Info() Info
	// Put stores all of src under key, replacing what is there, and returns once that is proved: the store's own ETag or
	// checksum matches the digest of the bytes that were sent. The object becomes visible whole or not at all; if src has
	// changed the old one stays and the error wraps codestory.ErrChanged. Put is idempotent. The returned Object has an
	// MD5 if one digest covered the whole content. Once Put has returned it does not read src any more.
	Put(ctx context.Context, key string, src Source, opts PutOptions) (Object, error)
	// Stat describes the object. codestory.ErrNotFound means that the store says there is none.
	Stat(ctx context.Context, key string) (Object, error)
	// Open reads length bytes of the object from offset on, or to its end if length is -1. A range past the end is
	// empty, not an error. The Object describes the whole object that the bytes are of. The caller closes. Errors are
	// those of Stat.
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Object, error)
	// Check asks the store, with one cheap request that changes nothing, whether it would take objects. A right that only
	// Put needs may still be missing.
	Check(ctx context.Context) error
}

// How long a link or a form is valid. S3 sets the bounds.
const (
	MinExpires     = time.Second
	MaxExpires     = 7 * 24 * time.Hour
	DefaultExpires = time.Hour
)

// LinkRequest says what a link is for.
type LinkRequest struct {
	Method      string        // GET or HEAD
	Key         string        // of the object; it need not exist
	Expires     time.Duration // whole seconds, MinExpires to MaxExpires; 0 is DefaultExpires
	ContentType string        // of the response; "" is the object's
	Disposition string        // Content-Disposition of the response; "" for none
}

// Link is a URL that needs no header.
type Link struct {
	URL     string
	Expires time.Time // no later than the end of the credentials that signed it
}

// Linker is a Store that signs links. It sends no request for that, so the object of a link need not exist.
type Linker interface {
	Link(ctx context.Context, req LinkRequest) (Link, error)
}
