// Package remote is what the daemon asks of a place that keeps objects. A Store puts a whole object or nothing, and
// proves it; what some stores can do beyond that are small interfaces of their own.
//
// It must not know the queue, the output directory or HTTP routes. The adapters in its folders translate their
// vendor's errors, once and by code, into classes of package codestory; nothing here retries.
package remote

import (
	"context"
	"io"
	"strings"
	"time"
)

// Info says what a store is, for people and for the index.
type Info struct {
	Kind     string // local, s3 or rclone
	Endpoint string // a URL, a folder or an rclone remote
	Bucket   string // "" where there are none
}

// Destination names the store in the index: two stores that do not hold the same objects have different ones.
func (i Info) Destination() string { return i.Kind + "\t" + i.Endpoint + "\t" + i.Bucket }

// ParseDestination is the Info that Destination made the text of; the zero Info for "".
func ParseDestination(s string) Info {
	kind, rest, _ := strings.Cut(s, "\t")
	endpoint, bucket, _ := strings.Cut(rest, "\t")
	return Info{Kind: kind, Endpoint: endpoint, Bucket: bucket}
}

// Object is an object in a store.
type Object struct {
	Key         string
	Size        int64     // bytes
	ETag        string    // without quotes; "" where the store has none
	MD5         string    // of the content, lower-case hexadecimal; "" where it is not known
	ContentType string    // "" where the store keeps none
	Modified    time.Time // zero where the store does not say
}

// Source is one version of a file, opened. It is owned, and closed, by whoever opened it.
type Source interface {
	io.ReaderAt
	// Size is the number of bytes of the version.
	Size() int64
	// Check returns nil while the file is still the version that was opened, an error that wraps
	// codestory.ErrChanged once it is not.
	Check() error
}

// PutOptions are what is stored beside the bytes, and what a store that sends an object in parts needs to go on where
// it was cut off.
type PutOptions struct {
	ContentType string
	Metadata    map[string]string // user metadata; nil for none
	// Ledger keeps the upload's state between attempts. Where it is nil a large object is begun anew each time.
	Ledger Ledger
	// Progress is told of bytes as they are sent, and of those that an earlier attempt has sent. It may be called by
	// several goroutines at the same time. Bytes that are sent again count again. It may be nil.
	Progress func(n int64)
	// Silent is told, where the store does not answer for some seconds to what was sent whole, which ETag the object has
	// if it is taken. It may be called while Put is under way, or just after. It may be nil.
	Silent func(etag string)
	// Patience is how long to wait while nothing is seen to move, where that is longer than the store's own time.
	Patience time.Duration
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

// Ledger keeps the state of one upload in parts: of this version of this object, in this store. The state is the
// store's own, opaque text. Its methods may be called at the same time.
type Ledger interface {
	// State is what was saved last; nil where nothing was.
	State() []byte
	// Save makes the state durable before it returns nil.
	Save(state []byte) error
}

// Aborter is a Store whose uploads in parts leave something behind until they are completed or aborted.
type Aborter interface {
	// Abort ends the upload that state, as it was saved in a Ledger, is of, and frees what the store holds of it. One
	// that is not there any more is no error. It touches nothing that is not named in the state.
	Abort(ctx context.Context, key string, state []byte) error
}

// Store keeps objects. All methods may be called at the same time. Errors are classified (codestory.ClassOf); none
// is retried in here.
type Store interface {
	// Info says what the store is. It does no I/O.
	Info() Info
	// Put stores all of src under key, replacing what is there, and returns once that is proved: the store's own
	// ETag or checksum matches the digest of the bytes that were sent. The object becomes visible whole or not at
	// all; where src has changed the old one stays and the error wraps codestory.ErrChanged. Putting the same bytes
	// again is harmless. The returned Object has its MD5 set where the whole content
	// passed through one digest. Once Put has returned, src is not read any more.
	Put(ctx context.Context, key string, src Source, opts PutOptions) (Object, error)
	// Stat describes the object; an error that wraps codestory.ErrNotFound means that the store has none.
	Stat(ctx context.Context, key string) (Object, error)
	// Open reads length bytes of the object from offset on; all that follow with length -1. What lies past the end
	// is empty, no error. The Object is the whole one, the one that the bytes are of. The caller closes. Errors as
	// with Stat.
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Object, error)
	// Check asks the store whether it would take objects, with one cheap request that changes nothing. A right
	// that only Put needs may still be missing.
	Check(ctx context.Context) error
}

// How long a link or a form is good for. S3 sets the bounds.
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
	ContentType string        // overrides the answer's Content-Type; "" leaves the object's
	Disposition string        // the answer's Content-Disposition; "" for none
}

// Link is a URL that needs no header.
type Link struct {
	URL     string
	Expires time.Time // its true end: no later than that of the credentials that signed it
}

// Linker is a Store that makes links. It does so without asking the store, so that a link says nothing about whether
// the object is there.
type Linker interface {
	Link(ctx context.Context, req LinkRequest) (Link, error)
}
