package watch

import (
	"io"
	"sync"
)

const (
	// pieceSize is how much of a file is read at once, and found to be of its version.
	pieceSize = 256 << 10
	// snapshotFrom is the length of a range from which on it is sent from snapshots.
	snapshotFrom = 32 << 10
)

// pieceBuffers hold what is on its way from a file.
var pieceBuffers = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// WriteRange writes length bytes from offset on to w, and never bytes of another version than the one that was opened:
// where the file is not that any more it ends, with an error that wraps codestory.ErrChanged.
//
// The system could send a file by itself, without a copy through this process. But what it sends is the file as it is
// when it is sent, or even received, and not as it was when it was found to be the version still. So what plays is kept
// for a while as a snapshot in memory, which nobody can write to: that the system sends by itself.
func (f *File) WriteRange(w io.Writer, offset, length int64) (n int64, err error) {
	for end := offset + length; offset < end && err == nil; {
		var sent int64
		if length >= snapshotFrom {
			sent, err = f.writeSnapshot(w, offset, end, n == 0)
		} else {
			sent, err = f.writePiece(w, offset, end)
		}
		n += sent
		offset += sent
	}
	return n, err
}

// writePiece writes what is before end of the piece that offset is in.
func (f *File) writePiece(w io.Writer, offset, end int64) (int64, error) {
	buffer := pieceBuffers.Get().(*[pieceSize]byte)
	defer pieceBuffers.Put(buffer)
	piece := buffer[:min(end, (offset/pieceSize+1)*pieceSize)-offset]
	if err := f.readPiece(piece, offset); err != nil {
		return 0, err
	}
	n, err := w.Write(piece)
	return int64(n), err
}

// readPiece fills p with the version's bytes from offset on.
func (f *File) readPiece(p []byte, offset int64) error {
	n, err := f.ReadAt(p, offset)
	if changed := f.Intact(); changed != nil {
		return changed
	}
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
