package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Read reads a file of at most limit bytes. It has to be a regular file: a pipe would hang, a device or a symbolic link
// may lead to what somebody else chose.
func Read(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link: put a regular file in its place", path)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file (%s): remove it", path, info.Mode())
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes: remove it", path, limit)
	}
	return b, nil
}
