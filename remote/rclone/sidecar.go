package rclone

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// sidecar is what a Folder keeps of an object beside its bytes. It names the version of the file that it speaks of,
// so that it says nothing of any other. During a Put there are two: the object that stands, and the one to come.
type sidecar struct {
	Key      string    `json:"key"`
	Versions []version `json:"versions"`
}

type version struct {
	Size        int64             `json:"size"`
	Modified    int64             `json:"modified"` // nanoseconds since 1970, as the file system gives it back
	MD5         string            `json:"md5"`      // lower-case hexadecimal
	ContentType string            `json:"content_type,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// of is the version that describes the file of that size and time.
func (s sidecar) of(size int64, modified time.Time) (version, bool) {
	for _, v := range s.Versions {
		if v.Size == size && v.Modified == modified.UnixNano() {
			return v, true
		}
	}
	return version{}, false
}

// folding says which names a file system takes for one. Keys that are one file share a sidecar, which then tells
// whose file it is.
type folding struct{ letterCase, unicodeForm bool }

func (f folding) fold(key string) string {
	if f.unicodeForm {
		key = norm.NFC.String(key)
	}
	if f.letterCase {
		key = strings.ToLower(key)
	}
	return key
}

// probe finds out by making a file in dir and looking for it by other names.
func probe(dir string) (folding, error) {
	const composed, decomposed = "probe-\u00e9", "probe-e\u0301"
	file, err := os.Create(filepath.Join(dir, composed))
	if err != nil {
		return folding{}, err
	}
	finds := func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	}
	found := folding{letterCase: finds(strings.ToUpper(composed)), unicodeForm: finds(decomposed)}
	return found, errors.Join(file.Close(), os.Remove(file.Name()))
}

// digest stands for the key, and for all that are one file with it, in names and locks.
func (f *Folder) digest(key string) [sha256.Size]byte {
	return sha256.Sum256([]byte(f.folds.fold(key)))
}

// slot is the path of the sidecar of a key. It has a fixed length, and none of the conflicts that keys have as names
// of files and directories.
func (f *Folder) slot(key string) string {
	digest := f.digest(key)
	name := hex.EncodeToString(digest[:])
	return filepath.Join(f.sums, name[:2], name[2:]+".json")
}

// readSidecar is empty where there is none, and where it is not one: it can be made anew.
func (f *Folder) readSidecar(key string) (sidecar, error) {
	data, err := os.ReadFile(f.slot(key))
	if errors.Is(err, iofs.ErrNotExist) {
		return sidecar{}, nil
	}
	if err != nil {
		return sidecar{}, fmt.Errorf("reading what is kept of the object: %w", err)
	}
	var s sidecar
	if err := json.Unmarshal(data, &s); err != nil {
		return sidecar{}, nil
	}
	return s, nil
}

// writeSidecar replaces the sidecar of s.Key, whole, with its bytes on disk. Its name is on disk after syncMoved of
// the path that is returned.
func (f *Folder) writeSidecar(s sidecar) (path string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keeping the object's checksum: %w", err)
		}
	}()
	data, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	path = f.slot(s.Key)
	if err := f.makeDir(filepath.Dir(path)); err != nil {
		return "", err
	}
	temporary := f.temporary()
	defer os.Remove(temporary) // where it is still there
	if err := os.WriteFile(temporary, data, 0o666); err != nil {
		return "", err
	}
	if err := syncFile(temporary); err != nil {
		return "", err
	}
	return path, os.Rename(temporary, path)
}
