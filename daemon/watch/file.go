package watch

import (
	"errors"
	"fmt"
	"os"

	"github.com/codestory/codestoryd"
)

// File is one version of a file, opened. ReadAt and Check may be called at the same time.
type File struct {
	tree *Tree
	name string
	file *os.File
	info os.FileInfo // when it was opened
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
