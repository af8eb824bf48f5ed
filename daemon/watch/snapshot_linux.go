package watch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/codestory/codestoryd"
)

const (
	// snapshotPieces is how many pieces of a file a snapshot is of: 1 MiB.
	snapshotPieces = 4
	snapshotSize   = snapshotPieces * pieceSize
	// maxSnapshots bounds those that are kept, to 32 MiB, and maxLive those that there are, with what players that
	// pause are in the middle of: who comes then gets copies.
	maxSnapshots = 32
	maxLive      = 2 * maxSnapshots
	// keepSnapshots is how long they are kept at least after one was used, and twice that at most.
	keepSnapshots = 5 * time.Second
)

// snapshots are of what was played of late.
type snapshots struct {
	mu    sync.Mutex
	kept  map[snapshotKey]*snapshot
	clock uint64      // counts uses
	used  bool        // one, since the timer was set
	timer *time.Timer // nil while none is kept
	live  atomic.Int64
}

// snapshotKey is a part of one version of a file, the first being number 0.
type snapshotKey struct {
	name    string
	version codestory.Version
	part    int64
}

// snapshot is a file in memory. Its pieces are written once each, when they are first needed.
type snapshot struct {
	all  *snapshots
	used uint64 // when, by the clock; guarded by snapshots.mu

	mu   sync.Mutex
	file *os.File // nil before anything is in it, and once it is not kept any more
	over bool     // it is not kept any more
	has  [snapshotPieces]bool
	idle []*os.File // ways to read it, each with a position of its own
	out  int        // such that are in use
}

// errNoSnapshot: this system makes none, or it is not kept any more.
var errNoSnapshot = errors.New("no snapshot")

// writeSnapshot writes what is before end of the part of the file that offset is in, by its snapshot; of the first bytes
// that somebody asks for one piece alone, so that they are not waited for longer.
func (f *File) writeSnapshot(w io.Writer, offset, end int64, first bool) (int64, error) {
	part := offset / snapshotSize
	begin := part * snapshotSize
	end = min(end, begin+snapshotSize)
	if first {
		end = min(end, (offset/pieceSize+1)*pieceSize)
	}
	s := f.tree.snapshots.get(snapshotKey{f.name, f.Version(), part})
	reader, err := s.open(f, begin, offset, end)
	if errors.Is(err, errNoSnapshot) {
		return f.writePiece(w, offset, end)
	}
	if err != nil {
		return 0, err
	}
	defer s.giveBack(reader)
	if _, err := reader.Seek(offset-begin, io.SeekStart); err != nil {
		return 0, err
	}
	return io.CopyN(w, reader, end-offset)
}

// open opens the snapshot, which begins at that place of the file, with all that is from offset to end. The caller gives
// it back.
func (s *snapshot) open(f *File, begin, offset, end int64) (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for piece := (offset - begin) / pieceSize; begin+piece*pieceSize < end; piece++ {
		if err := s.fill(f, begin, piece); err != nil {
			return nil, err
		}
	}
	if last := len(s.idle) - 1; last >= 0 {
		reader := s.idle[last]
		s.idle = s.idle[:last]
		s.out++
		return reader, nil
	}
	reader, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", s.file.Fd()))
	if err != nil {
		return nil, errNoSnapshot
	}
	s.out++
	return reader, nil
}

// fill puts a piece of the file into the snapshot, where it is not in it yet. The caller holds mu.
func (s *snapshot) fill(f *File, begin, piece int64) error {
	if s.over {
		return errNoSnapshot
	}
	if s.has[piece] {
		return nil
	}
	if s.file == nil {
		if s.all.live.Load() >= maxLive {
			return errNoSnapshot
		}
		fd, err := unix.MemfdCreate("codestoryd", unix.MFD_CLOEXEC)
		if err != nil {
			return errNoSnapshot
		}
		s.file = os.NewFile(uintptr(fd), "what plays")
		s.all.live.Add(1)
	}
	buffer := pieceBuffers.Get().(*[pieceSize]byte)
	defer pieceBuffers.Put(buffer)
	offset := begin + piece*pieceSize
	content := buffer[:min(pieceSize, f.Size()-offset)]
	if err := f.readPiece(content, offset); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(content, piece*pieceSize); err != nil {
		return errNoSnapshot
	}
	s.has[piece] = true
	return nil
}

func (s *snapshot) giveBack(reader *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out--
	if !s.over {
		s.idle = append(s.idle, reader)
		return
	}
	_ = reader.Close()
	if s.out == 0 {
		s.all.live.Add(-1)
	}
}

// drop ends a snapshot. What is being sent of it is sent all the same.
func (s *snapshot) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, reader := range s.idle {
		_ = reader.Close()
	}
	if s.file != nil {
		_ = s.file.Close()
		if s.out == 0 {
			s.all.live.Add(-1)
		}
	}
	s.idle, s.file = nil, nil
}

// get is the snapshot of that key, perhaps a new one, in the place of the one that was not used for the longest time.
func (all *snapshots) get(key snapshotKey) *snapshot {
	s, old := all.find(key)
	if old != nil {
		old.drop()
	}
	return s
}

// find is get, with the one that is not kept any more.
func (all *snapshots) find(key snapshotKey) (s, old *snapshot) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.clock++
	all.used = true
	if s = all.kept[key]; s == nil {
		if len(all.kept) >= maxSnapshots {
			old = all.takeOldest()
		}
		if all.kept == nil {
			all.kept = map[snapshotKey]*snapshot{}
		}
		if all.timer == nil {
			all.timer = time.AfterFunc(keepSnapshots, all.expire)
		}
		s = &snapshot{all: all}
		all.kept[key] = s
	}
	s.used = all.clock
	return s, old
}

// takeOldest keeps the one no more that was not used for the longest time. The caller holds mu.
func (all *snapshots) takeOldest() *snapshot {
	var oldest snapshotKey
	for key, s := range all.kept {
		if old := all.kept[oldest]; old == nil || s.used < old.used {
			oldest = key
		}
	}
	s := all.kept[oldest]
	delete(all.kept, oldest)
	return s
}

// expire drops all once none was used for a while.
func (all *snapshots) expire() {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.used {
		all.used = false
		all.timer.Reset(keepSnapshots)
		return
	}
	all.timer = nil
	for key, s := range all.kept {
		delete(all.kept, key)
		s.drop()
	}
}
