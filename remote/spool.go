package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// ErrTooLarge says that there are more bytes than may be taken.
var ErrTooLarge = errors.New("it is too large")

// Spooled is a Source of what a reader gave, whole, in a temporary file.
type Spooled struct {
	file *os.File
	size int64
}

// Spool reads r to its end into a temporary file of dir, "" for that of the system, so that it can be put as a file
// can: with its length known, in parts, and again. size is how many bytes there have to be, where that is known; at
// most limit are taken where it is -1. The error wraps ErrTooLarge where there are more, io.ErrUnexpectedEOF where
// there are less. The caller closes, which removes the file; where the system allows it, it has no name from the start,
// so that a crash leaves nothing.
func Spool(ctx context.Context, dir string, r io.Reader, size, limit int64) (*Spooled, error) {
	if size >= 0 {
		limit = size
	}
	file, err := os.CreateTemp(dir, "codestoryd-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("keeping what is to be stored: %w", err)
	}
	_ = os.Remove(file.Name()) // not on every system while it is open; Close does it there
	s := &Spooled{file: file}
	s.size, err = copyUnder(ctx, file, io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		err = fmt.Errorf("keeping what is to be stored: %w", err)
	case s.size > limit:
		err = fmt.Errorf("%w: more than %d bytes came", ErrTooLarge, limit)
	case s.size < size:
		err = fmt.Errorf("%d of %d bytes came: %w", s.size, size, io.ErrUnexpectedEOF)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// ReadAt implements Source.
func (s *Spooled) ReadAt(p []byte, offset int64) (int, error) { return s.file.ReadAt(p, offset) }

// Size implements Source.
func (s *Spooled) Size() int64 { return s.size }

// Check implements Source. Nobody else writes to the file.
func (s *Spooled) Check() error { return nil }

// Close removes the file.
func (s *Spooled) Close() error {
	err := s.file.Close()
	if remove := os.Remove(s.file.Name()); !errors.Is(remove, os.ErrNotExist) {
		err = errors.Join(err, remove)
	}
	return err
}

// PutReader stores what r gives, to its end, by way of a temporary file. size is the number of bytes, -1 where it is
// not known.
func PutReader(ctx context.Context, store Store, key string, r io.Reader, size int64, opts PutOptions) (Object, error) {
	src, err := Spool(ctx, "", r, size, math.MaxInt64-1)
	if err != nil {
		return Object{}, fmt.Errorf("put %s: %w", key, err)
	}
	defer src.Close()
	return store.Put(ctx, key, src, opts)
}
