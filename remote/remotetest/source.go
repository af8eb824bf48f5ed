package remotetest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"

	"github.com/codestory/codestoryd"
)

// Bytes are size bytes that look random, the same at every call.
func Bytes(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // it is documented to fill data and not to fail
	return data
}

// Source is a remote.Source of bytes in memory that can go wrong at a chosen place. Set it up before it
// is read; use it for one Put.
type Source struct {
	data []byte
	size int64

	failAt  int64 // -1 for nowhere
	failErr error

	changeAfter int64 // -1 for never
	onReach     func()
	onReachAt   int64

	mu      sync.Mutex
	reached int64 // the end of what has been read
	closed  bool
	late    bool // read after it was closed
}

// NewSource makes a source of data in which nothing goes wrong.
func NewSource(data []byte) *Source {
	return &Source{data: data, size: int64(len(data)), failAt: -1, changeAfter: -1}
}

// Claim makes the source say that it has size bytes, whatever it has.
func (s *Source) Claim(size int64) *Source {
	s.size = size
	return s
}

// FailAt makes reads of the byte at offset, and of those after it, return err.
func (s *Source) FailAt(offset int64, err error) *Source {
	s.failAt, s.failErr = offset, err
	return s
}

// ChangeAfter makes Check report a change once n bytes were read; with 0, from the start.
func (s *Source) ChangeAfter(n int64) *Source {
	s.changeAfter = n
	return s
}

// OnReach calls do, once, when n bytes have been read, before the read that got there returns.
func (s *Source) OnReach(n int64, do func()) *Source {
	s.onReachAt, s.onReach = n, do
	return s
}

// Close ends the source, as its owner does once Put has returned. A later read fails, and ReadLate tells of it.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// ReadLate reports whether the source was read after Close.
func (s *Source) ReadLate() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.late
}

// Size implements remote.Source.
func (s *Source) Size() int64 { return s.size }

// ReadAt implements remote.Source.
func (s *Source) ReadAt(p []byte, offset int64) (int, error) {
	end := int64(len(s.data))
	if s.failAt >= 0 {
		end = min(end, s.failAt)
	}
	var n int
	if offset < end {
		n = copy(p, s.data[offset:end])
	}
	if !s.reach(offset + int64(n)) {
		return 0, os.ErrClosed
	}
	switch {
	case n == len(p):
		return n, nil
	case s.failAt >= 0:
		return n, s.failErr
	default:
		return n, io.EOF
	}
}

// reach notes that bytes up to n were read; false once the source is closed.
func (s *Source) reach(n int64) bool {
	s.mu.Lock()
	s.reached = max(s.reached, n)
	var do func()
	if s.onReach != nil && s.reached >= s.onReachAt {
		do, s.onReach = s.onReach, nil
	}
	s.late = s.late || s.closed
	open := !s.closed
	s.mu.Unlock()
	if do != nil {
		do()
	}
	return open
}

// Check implements remote.Source.
func (s *Source) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changeAfter >= 0 && s.reached >= s.changeAfter {
		return fmt.Errorf("%w: so the test wants it", codestory.ErrChanged)
	}
	return nil
}
