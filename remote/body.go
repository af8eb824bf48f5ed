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

// Body is what a Store sends of a Source: all of its bytes, once, digested as they pass.
//
// The last byte is given out only after the source, read to its end, has said that it is still the version that was
// opened. A store that was told the length commits nothing until it has that byte, so a file that was written to
// while it was read is never stored, not even for a moment.
//
// The digest is MD5 because that is what S3 answers a PUT with, whatever the server. It guards against accidents, not
// against an attacker.
type Body struct {
	size int64
	src  Source

	mu      sync.Mutex // guards what follows: a transport may still read when its caller has got an answer
	offset  int64
	digest  hash.Hash
	also    []io.Writer
	checked bool  // all was read, and the source had not changed
	err     error // what ended the reading; io.EOF after all of it
}

var errBodyClosed = errors.New("read after the upload ended")

// NewBody reads src from its start. It neither opens nor closes src. What is given out is also written to the writers
// in also, digests of other kinds, whose errors do not count; nothing is once Close has returned.
func NewBody(src Source, also ...io.Writer) *Body {
	return &Body{size: src.Size(), src: src, digest: md5.New(), also: also}
}

// Read implements io.Reader. io.EOF means that the whole version was read. The error wraps codestory.ErrChanged where
// the source is that version no more, and the source's own where it cannot be read; either stays.
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
	b.digest.Write(p[:n])
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

// readAt reads at least one byte, or says why there is none.
func (b *Body) readAt(p []byte) (int, error) {
	n, err := b.src.ReadAt(p, b.offset)
	switch {
	case n > 0: // an error that stays comes again at the next offset
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
	return hex.EncodeToString(b.digest.Sum(nil))
}

// Complete reports whether every byte was given out and the source had not changed by then. A store that reports
// success without it has not read what it was sent.
func (b *Body) Complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.checked
}

// Err is the error of the source that ended the reading; nil where there was none. It is there for libraries that
// report a failure of their own instead of that of the body they were sending.
func (b *Body) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == io.EOF || b.err == errBodyClosed {
		return nil
	}
	return b.err
}

// Close ends the reading: once it has returned, the source is left alone, and whoever opened it may close it, even
// where a transport still has the body in its hands. It returns nil.
func (b *Body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = errBodyClosed
	}
	return nil
}
