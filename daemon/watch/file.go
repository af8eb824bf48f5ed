package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/codestory/codestoryd"
)

const (
	// stableTries bounds how often OpenStable opens a file that is being written to.
	stableTries = 20
	// longWrite is how long one write call may take, if nothing tells whether there is a writer: the file is stamped when
	// the call begins. heldOpen is the same for a file that somebody is known to have open for writing: a busy machine may
	// stop that writer in the middle of a call for long.
	longWrite = 100 * time.Millisecond
	heldOpen  = 2 * time.Second
	// kernelTick is how far the clock that stamps files may be behind, and longestTick the same on file systems that
	// keep whole seconds.
	kernelTick  = 10 * time.Millisecond
	longestTick = time.Second
	// pieceSize is how much of a file is read before it is checked that the version is still the same.
	pieceSize = 64 << 10
)

// File is one version of a file, opened. ReadAt, Check and Unchanged may be called concurrently.
type File struct {
	tree *Tree
	name string
	file *os.File
	info os.FileInfo // when it was opened
}

// OpenVersion opens the file at path to read version v of it. The error wraps codestory.ErrChanged if it is another
// version, or if somebody has it open for writing; other errors are those of Stat.
//
// Two writes within one tick of the clock that stamps files leave the same times. So the file is opened only once that
// clock has moved on from v: whatever is written after that shows in Check.
func (t *Tree) OpenVersion(ctx context.Context, path codestory.Path, v codestory.Version) (*File, error) {
	if !awaitTick(ctx, v.ChangeTime) {
		return nil, ctx.Err()
	}
	f, err := t.Open(path)
	if err != nil {
		return nil, err
	}
	answer, info, err := writersOf(f.file)
	switch {
	case err != nil:
		err = fmt.Errorf("looking at %q: %w", path, err)
	case answer == writersSome:
		err = fmt.Errorf("%w: %q is open for writing", codestory.ErrChanged, path)
	case versionOf(info) != v:
		err = fmt.Errorf("%w: %q is another version", codestory.ErrChanged, path)
	default:
		f.info = info
		return f, nil
	}
	_ = f.Close()
	return nil, err
}

// OpenStable opens the file at path as it is, even while it is being written, once its last write is long enough ago
// for the next one to show in Unchanged. If the file never rests that long, the error wraps codestory.ErrChanged; other
// errors are those of Stat.
func (t *Tree) OpenStable(ctx context.Context, path codestory.Path) (*File, error) {
	for range stableTries {
		f, err := t.Open(path)
		if err != nil {
			return nil, err
		}
		written := f.Version().Written().UnixNano()
		if stampNow() > written+int64(heldOpen) {
			return f, nil
		}
		if awaitTick(ctx, written) && f.writeEnded(written) && f.Unchanged() == nil {
			return f, nil
		}
		_ = f.Close()
		if !pause(ctx, longWrite/stableTries) {
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("%w: %q is being written to", codestory.ErrChanged, path)
}

// writeEnded reports whether the write that stamped the file has ended: nobody has it open for writing, or the stamp,
// in nanoseconds since 1970, is old enough.
func (f *File) writeEnded(stamp int64) bool {
	age := time.Duration(time.Now().UnixNano() - stamp)
	switch answer, _, err := writersOf(f.file); {
	case err == nil && answer == writersNone:
		return true
	case err == nil && answer == writersSome:
		return age > heldOpen
	default:
		return age > longWrite
	}
}

// tickEnd is the latest time at which a change may have been stamped with that time, in nanoseconds since 1970.
func tickEnd(stamp int64) int64 {
	if stamp%int64(longestTick) == 0 {
		return stamp + int64(longestTick)
	}
	return stamp + int64(kernelTick)
}

// awaitTick returns once a change of a file would be stamped with another time than stamp, in nanoseconds since 1970; 0
// is none. It does not wait for a stamp of the future, which another clock has made. It returns false if ctx ends
// first.
func awaitTick(ctx context.Context, stamp int64) bool {
	last := stamp
	if stamp%int64(longestTick) == 0 {
		last += int64(longestTick) - 1
	}
	for stampNow() <= last && last-time.Now().UnixNano() < int64(longestTick) {
		if !pause(ctx, time.Millisecond) {
			return false
		}
	}
	return ctx.Err() == nil
}

// Version is the version of the file when it was opened.
func (f *File) Version() codestory.Version { return versionOf(f.info) }

// Size is the number of bytes of the version.
func (f *File) Size() int64 { return f.info.Size() }

// Check returns nil while both the open file and what its name leads to are the version that was opened, and an error
// that wraps codestory.ErrChanged once either is not. Any other error means that it cannot be told.
func (f *File) Check() error {
	if err := f.Unchanged(); err != nil {
		return err
	}
	named, err := f.tree.lstat(f.name)
	if errors.Is(err, codestory.ErrNotFound) {
		return fmt.Errorf("%w: %q is gone", codestory.ErrChanged, f.name)
	}
	if err != nil {
		return err
	}
	if !os.SameFile(named, f.info) || versionOf(named) != f.Version() {
		return fmt.Errorf("%w: %q was replaced", codestory.ErrChanged, f.name)
	}
	return nil
}

// Unchanged returns nil while the open file holds the bytes of the version that was opened, even if its name leads
// elsewhere by now: a player plays a file to its end that was replaced meanwhile. If it was written to, the error wraps
// codestory.ErrChanged.
func (f *File) Unchanged() error {
	info, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("checking %q: %w", f.name, err)
	}
	now, opened := versionOf(info), f.Version()
	if unlinked(info) {
		now.ChangeTime = opened.ChangeTime // losing its name changed the inode
	}
	if now != opened {
		return fmt.Errorf("%w: %q was written to", codestory.ErrChanged, f.name)
	}
	return nil
}

// WriteRange writes length bytes from offset to w, and never bytes of another version than the one that was opened:
// once the file changes, it ends with an error that wraps codestory.ErrChanged.
//
// The system could send a file by itself, without a copy through this process. But then it sends the file as it is at
// that moment, which may not be the version that was checked.
func (f *File) WriteRange(w io.Writer, offset, length int64) (n int64, err error) {
	buffer := f.tree.buffers.Get().(*[pieceSize]byte)
	defer f.tree.buffers.Put(buffer)
	for n < length && err == nil {
		piece := buffer[:min(length-n, pieceSize)]
		if err := f.readPiece(piece, offset+n); err != nil {
			return n, err
		}
		var sent int
		sent, err = w.Write(piece)
		n += int64(sent)
	}
	return n, err
}

// readPiece fills p with the version's bytes from offset on.
func (f *File) readPiece(p []byte, offset int64) error {
	n, err := f.ReadAt(p, offset)
	if changed := f.Unchanged(); changed != nil {
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

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.file.ReadAt(p, off) }

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) { return f.file.Read(p) }

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) { return f.file.Seek(offset, whence) }

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }
