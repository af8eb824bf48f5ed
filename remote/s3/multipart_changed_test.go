package s3

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

func changedFile(t *testing.T, s *scene) {
	data := remotetest.Bytes(6 * testPart)
	size := int64(len(data))
	store := s.open(t, inParts)
	for _, at := range []int64{0, 1, 2*testPart + 5, size} {
		l := &ledger{}
		_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data).ChangeAfter(at), l)
		if !errors.Is(err, codestory.ErrChanged) {
			t.Errorf("changed at %d: %v, want ErrChanged", at, err)
		}
		if got := s.counts(); got["complete"] != 0 || got["abort"] != 1 {
			t.Errorf("changed at %d: the server got %v, want one abort and no complete", at, got)
		}
		s.wantNoObject(t, store)
		s.abortCut(t, store, l, len(data)) // which the ledger still names
		s.wantOpen(t)
		s.counts()
	}

	// A resumed upload, all of whose parts are sent, is not completed either.
	l := &ledger{}
	cutAfter(t, store, data, l, 6)
	_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data).ChangeAfter(0), l)
	if !errors.Is(err, codestory.ErrChanged) {
		t.Errorf("changed while it was cut off: %v, want ErrChanged", err)
	}
	s.wantNoObject(t, store)
	s.abortCut(t, store, l, len(data))
	s.wantOpen(t)

	// With its context ended it is left to whoever keeps the ledger.
	l = &ledger{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	src := remotetest.NewSource(data).ChangeAfter(testPart).OnReach(testPart, cancel)
	if _, err := putLedger(ctx, t, store, src, l); codestory.ClassOf(ctx, err) != codestory.ClassStopped {
		t.Errorf("changed and cut off: %v, want it stopped", err)
	}
	s.wantOpen(t, l.upload(t, len(data)).ID)
	s.abortCut(t, store, l, len(data))
	s.wantOpen(t)
}

// turning has other bytes at the second reading, which Check does not notice.
type turning struct {
	*remotetest.Source
	mu    sync.Mutex
	ahead int64
}

func (s *turning) ReadAt(p []byte, offset int64) (int, error) {
	n, err := s.Source.ReadAt(p, offset)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += int64(n)
	if s.ahead > s.Size() && offset > 2*testPart {
		p[0]++
	}
	return n, err
}

func changedBytes(t *testing.T, s *scene) {
	store := s.open(t, inPartsReadAhead)
	src := &turning{Source: remotetest.NewSource(remotetest.Bytes(4 * testPart))}
	l := &ledger{}
	_, err := store.Put(t.Context(), key, src, remote.PutOptions{Ledger: l})
	if !errors.Is(err, codestory.ErrChanged) {
		t.Errorf("put: %v, want ErrChanged", err)
	}
	s.wantNoObject(t, store)
	s.abortCut(t, store, l, 4*testPart)
	s.wantOpen(t)
}

// noLedger: what nobody would ever know of is aborted at once.
func noLedger(t *testing.T, s *scene) {
	data := remotetest.Bytes(6 * testPart)
	store := s.open(t, inParts)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	src := remotetest.NewSource(data).OnReach(2*testPart, cancel)
	if _, err := putLedger(ctx, t, store, src, nil); codestory.ClassOf(ctx, err) != codestory.ClassStopped {
		t.Errorf("put: %v, want it stopped", err)
	}
	s.wantNoObject(t, store)
	if got := s.counts()["abort"]; got != 1 {
		t.Errorf("%d aborts, want one", got)
	}
}
