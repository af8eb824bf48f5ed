package remote

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/codestory/codestoryd"
)

// Body reads all bytes of a Source once, for a Store to send, and digests them.
//
// It returns the last byte only after the source was read to its end and has confirmed that it is still the version that
// was opened. A store that was told the length commits nothing without that byte, so a file that was written to while it
// was read is never stored, not even for a moment.
//
// The digest is MD5 because that is what every S3 server answers a PUT with. It guards against accidents, not against an
// attacker.
type Body struct {
	size int64
	src  Source

	mu      sync.Mutex // guards the fields below: a transport may still read when its caller has the answer
	offset  int64
	digest  hash.Hash // nil if nothing is digested
	also    []io.Writer
	checked bool  // everything was read, and the source had not changed
	err     error // that ended the reading; io.EOF at the end
}

var errBodyClosed = errors.New("read after the upload ended")

// NewBody reads src from its start. It neither opens nor closes src. Every byte that it returns is also written to the
// writers in also, such as digests of other kinds, whose errors are ignored.
func NewBody(src Source, also ...io.Writer) *Body {
	return &Body{size: src.Size(), src: src, digest: md5.New(), also: also}
}

// NewUndigestedBody is NewBody for bytes whose digest is known: Sum is "".
func NewUndigestedBody(src Source, also ...io.Writer) *Body {
	return &Body{size: src.Size(), src: src, also: also}
}

// Read implements io.Reader. io.EOF means that the whole version was read. The error wraps codestory.ErrChanged if the
// source is no longer that version, and the source's own error if it cannot be read; either is permanent.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.next(p)
	if err != nil {
		b.err = err
		return 0, err
	}
	if b.digest != nil {
		b.digest.Write(p[:n])
	}
	for _, w := range b.also {
		_, _ = w.Write(p[:n])
	}
	b.offset += int64(n)
	return n, nil
}

func (b *Body) next(p []byte) (n int, err error) {
	left := b.size - b.offset
	if left > 0 {
		if n, err = b.readAt(p[:min(int64(len(p)), left)]); err != nil {
			return 0, err
		}
	}
	if int64(n) == left && !b.checked {
		if err := b.src.Check(); err != nil {
			return 0, fmt.Errorf("after reading the file: %w", err)
		}
		b.checked = true
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// readAt reads at least one byte or fails.
func (b *Body) readAt(p []byte) (int, error) {
	n, err := b.src.ReadAt(p, b.offset)
	switch {
	case n > 0: // a permanent error comes again at the next offset
		return n, nil
	case err == nil:
		err = io.ErrNoProgress
	case errors.Is(err, io.EOF):
		return 0, fmt.Errorf("%w: it ends after %d of %d bytes", codestory.ErrChanged, b.offset, b.size)
	}
	return 0, fmt.Errorf("reading the file at %d: %w", b.offset, err)
}

// Sum is the MD5 of what has been read, in lower-case hexadecimal.
func (b *Body) Sum() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.digest == nil {
		return ""
	}
	return hex.EncodeToString(b.digest.Sum(nil))
}

// Complete reports whether every byte was read and the source had not changed by then. A server that reports success
// before that has not read what it was sent.
func (b *Body) Complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.checked
}

// Err is the error of the source that ended the reading; nil if there was none. Libraries may report an error of their
// own instead of the one that the body returned.
func (b *Body) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == io.EOF || b.err == errBodyClosed {
		return nil
	}
	return b.err
}

// Close ends the reading. Once it has returned the source is not read any more and may be closed, even if a transport
// still holds the body. It returns nil.
func (b *Body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = errBodyClosed
	}
	return nil
}
