package library

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/atomicfile"
	"github.com/codestory/codestoryd/internal/disk"
)

const (
	spoolPattern = "codestoryd-post-*.tmp"
	spoolBuffer  = 256 << 10
	spoolReserve = 64 << 20 // bytes that a spool leaves free on its disk, for the database
)

// spooled is a remote.Source of what a reader gave, whole, in a temporary file.
type spooled struct {
	*os.File
	size int64
}

// spool reads r to its end into a temporary file of dir, so that it can be put as a file can: with its length known, in
// parts, and again. copies is how often all of it has to fit on the disk, beside the reserve, until it is stored; with too
// little room the error is codestory.ErrDiskFull. An error of r is returned as it is. The caller closes, which removes the
// file. Where the system allows it, it has no name from the start, so that a crash leaves nothing; else the next start
// removes it.
func spool(dir string, r io.Reader, copies int64) (_ *spooled, err error) {
	file, err := os.CreateTemp(dir, spoolPattern)
	if err != nil {
		return nil, fmt.Errorf("receiving a file: %w", atomicfile.Explain(err))
	}
	_ = os.Remove(file.Name()) // not on every system while it is open; Close does it there
	s := &spooled{File: file}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	buffer, n := make([]byte, spoolBuffer), 0
	for ended := false; !ended; {
		read, err := r.Read(buffer[n:])
		n += read
		if ended = err == io.EOF; err != nil && !ended {
			return nil, err
		}
		if n < len(buffer) && !ended {
			continue
		}
		s.size += int64(n)
		if room, known := disk.Room(dir); known && room < spoolReserve+int64(n)+(copies-1)*s.size {
			return nil, fmt.Errorf("receiving a file: %w: %d bytes are free in %s", codestory.ErrDiskFull, room, dir)
		}
		if _, err := file.Write(buffer[:n]); err != nil {
			return nil, fmt.Errorf("receiving a file: %w", atomicfile.Explain(err))
		}
		n = 0
	}
	return s, nil
}

// Size implements remote.Source.
func (s *spooled) Size() int64 { return s.size }

// Check implements remote.Source. Nobody else writes to the file.
func (s *spooled) Check() error { return nil }

// Close removes the file.
func (s *spooled) Close() error {
	err := s.File.Close()
	if remove := os.Remove(s.Name()); !errors.Is(remove, os.ErrNotExist) {
		err = errors.Join(err, remove)
	}
	return err
}

// removeSpooled removes what an earlier process left of its spools, where an open file keeps its name.
func removeSpooled(dir string) {
	left, _ := fs.Glob(os.DirFS(dir), spoolPattern) // fails for a bad pattern only
	for _, name := range left {
		_ = os.Remove(filepath.Join(dir, name))
	}
}
