package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/codestory/codestoryd"
)

// File is one version of a file, opened. ReadAt and Check may be called at the same time.
type File struct {
	tree *Tree
	name string
	file *os.File
	info os.FileInfo // when it was opened
}

// OpenVersion opens the file at path to read version v of it. The error wraps codestory.ErrChanged where it is another
// version, or where somebody has it open for writing; else as with Stat.
//
// Two writes in one tick of the clock that stamps files leave the same times. So the file is opened only once that
// clock has moved on from v, unless each change gets a time of its own: whatever is written after that shows in Check.
func (t *Tree) OpenVersion(ctx context.Context, path codestory.Path, v codestory.Version) (*File, error) {
	f, err := t.Open(path)
	if err != nil {
		return nil, err
	}
	if !stampsDiffer(f.file) && !awaitTick(ctx, v.ChangeTime) {
		_ = f.Close()
		return nil, ctx.Err()
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

const (
	// steadyTries bounds how often OpenSteady opens a file that is written to meanwhile.
	steadyTries = 20
	// longWrite is how long one call that writes may take: it stamps the file when it begins.
	longWrite = 100 * time.Millisecond
)

// OpenSteady opens the file at path as it is, being written or not, once its last write is so long ago that the next
// one will show in Intact. A file that never rests so long gives codestory.ErrChanged; else errors as with Stat.
func (t *Tree) OpenSteady(ctx context.Context, path codestory.Path) (*File, error) {
	for range steadyTries {
		f, err := t.Open(path)
		if err != nil {
			return nil, err
		}
		written := f.Version().Written().UnixNano()
		if stampNow() > written+int64(longestTick) {
			return f, nil
		}
		if !awaitTick(ctx, written) {
			_ = f.Close()
			return nil, ctx.Err()
		}
		if f.written(written) && f.Intact() == nil {
			return f, nil
		}
		_ = f.Close()
		if !pause(ctx, longWrite/steadyTries) {
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("%w: %q is written to all the while", codestory.ErrChanged, path)
}

// written reports whether the write that stamped the file has ended: nobody has it open to write, or the stamp, in
// nanoseconds since 1970, is old enough.
func (f *File) written(stamp int64) bool {
	answer, _, err := writersOf(f.file)
	return err == nil && answer == writersNone || time.Now().UnixNano()-stamp > int64(longWrite)
}

// longestTick is that of file systems that keep whole seconds.
const longestTick = time.Second

// awaitTick returns once a change of a file would be stamped with another time than stamp, in nanoseconds since 1970; 0
// is none. It does not wait for a stamp of the future, which another clock has made. It returns false when ctx ends
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

// Version is what the file was when it was opened.
func (f *File) Version() codestory.Version { return versionOf(f.info) }

// Size is the number of bytes of the version.
func (f *File) Size() int64 { return f.info.Size() }

// Check returns nil while both the open file and what its name leads to are the version that was opened, and an error
// that wraps codestory.ErrChanged once either is not. Any other error means that it cannot be told.
func (f *File) Check() error {
	open, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("checking %q: %w", f.name, err)
	}
	if versionOf(open) != f.Version() {
		return fmt.Errorf("%w: %q was written to", codestory.ErrChanged, f.name)
	}
	named, err := f.tree.lstat(f.name)
	if errors.Is(err, codestory.ErrNotFound) {
		return fmt.Errorf("%w: %q is no longer there", codestory.ErrChanged, f.name)
	}
	if err != nil {
		return err
	}
	if !os.SameFile(named, f.info) || versionOf(named) != f.Version() {
		return fmt.Errorf("%w: %q was replaced", codestory.ErrChanged, f.name)
	}
	return nil
}

// Intact returns nil while the open file holds the bytes of the version that was opened, whatever its name leads to
// by now: a player that began with a file which was then replaced hears it to its end. Where it was written to the error
// wraps codestory.ErrChanged.
func (f *File) Intact() error {
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

// ReadAt reads as io.ReaderAt says.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.file.ReadAt(p, off) }

// Read reads as io.Reader says.
func (f *File) Read(p []byte) (int, error) { return f.file.Read(p) }

// Seek seeks as io.Seeker says.
func (f *File) Seek(offset int64, whence int) (int64, error) { return f.file.Seek(offset, whence) }

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }
