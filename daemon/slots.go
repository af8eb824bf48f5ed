package daemon

import (
	"context"
	"sync"
)

// Unless a person has set a number, fewUploads may be under way at once whatever they are, and up to manyUploads while
// all together are of less than smallBytes. A small file waits for the store far longer than its bytes are on the line,
// so many at once are what keeps it busy; of large ones a few do, and more would only keep the first from being done.
const (
	fewUploads  = 8
	manyUploads = 32
	smallBytes  = 8 << 20
)

// slots bound the uploads that are under way at once.
type slots struct {
	few, many int

	mu    sync.Mutex // guards what follows
	taken int
	bytes int64         // of what is uploaded
	freed chan struct{} // closed, and replaced, when there may be room again
}

// newSlots bounds the uploads to a number; 0 leaves it to what they are.
func newSlots(uploads int) *slots {
	s := &slots{few: fewUploads, many: manyUploads, freed: make(chan struct{})}
	if uploads > 0 {
		s.few, s.many = uploads, uploads
	}
	return s
}

// take waits until one more upload may begin. It is given back by free.
func (s *slots) take(ctx context.Context) error {
	for {
		s.mu.Lock()
		room := s.taken < s.few || s.taken < s.many && s.bytes < smallBytes
		if room {
			s.taken++
		}
		freed := s.freed
		s.mu.Unlock()
		if room {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-freed:
		}
	}
}

// fill says how large the file is that has the slot.
func (s *slots) fill(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += bytes
}

// free gives back a slot that was filled with so many bytes.
func (s *slots) free(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	s.bytes -= bytes
	close(s.freed)
	s.freed = make(chan struct{})
}
