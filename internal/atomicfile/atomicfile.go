// Package atomicfile replaces small files whole: after a crash or a power cut a file is the old one or the new one,
// never half of either. It must not know what the files are for.
package atomicfile

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/codestory/codestoryd"
)

// Write replaces the file, or makes it, with the rights of perm whatever it had before, and returns once that is on
// disk. The directory has to exist.
func Write(path string, data []byte, perm os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, Explain(err))
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
			err = fmt.Errorf("writing %s: %w", path, Explain(err))
		}
	}()
	if err := f.Chmod(perm); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Explain is err, as codestory.ErrDiskFull where that is what it says.
func Explain(err error) error {
	if err != nil && isDiskFull(err) {
		return fmt.Errorf("%w: %w", codestory.ErrDiskFull, err)
	}
	return err
}

// SyncDir makes a rename in the directory last. Windows cannot sync a directory and has its rename journalled by NTFS.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
