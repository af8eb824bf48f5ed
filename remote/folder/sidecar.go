package folder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// sidecar is what the store keeps of an object beside its bytes. Each entry names the version of the file that it
// describes. During a Put there are two: the present object, and the one to come.
type sidecar struct {
	Key      string    `json:"key"`
	Versions []version `json:"versions"`
}

type version struct {
	Size        int64             `json:"size"`
	Modified    int64             `json:"modified"` // nanoseconds since 1970, as the file system returns it
	MD5         string            `json:"md5"`      // lower-case hexadecimal
	ContentType string            `json:"content_type,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// of is the entry that describes the file; the zero version if there is none.
func (s sidecar) of(info os.FileInfo) version {
	for _, v := range s.Versions {
		if v.Size == info.Size() && v.Modified == info.ModTime().UnixNano() {
			return v
		}
	}
	return version{}
}

// sameVersion reports whether an entry that describes one file would describe the other.
func sameVersion(a, b os.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// folding says which names the file system takes for one. Keys that are one file share a sidecar, which names the key that
// the file belongs to.
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

// probe finds out by making a file and looking for it by other names.
func probe(root *os.Root) (folding, error) {
	const composed, decomposed = temporaries + "/probe-\u00e9", temporaries + "/probe-e\u0301"
	if err := root.WriteFile(composed, nil, 0o666); err != nil {
		return folding{}, err
	}
	finds := func(name string) bool {
		_, err := root.Lstat(name)
		return err == nil
	}
	upper := path.Join(temporaries, strings.ToUpper(path.Base(composed)))
	return folding{letterCase: finds(upper), unicodeForm: finds(decomposed)}, root.Remove(composed)
}

// slotOf stands for the key, and for all keys that are one file with it.
func (s *Store) slotOf(key string) [sha256.Size]byte { return sha256.Sum256([]byte(s.folds.fold(key))) }

// slot is the name of a key's sidecar. It has a fixed length, and none of the conflicts that keys have as names of files
// and directories.
func (s *Store) slot(key string) string {
	digest := s.slotOf(key)
	name := hex.EncodeToString(digest[:])
	return path.Join(sidecars, name[:2], name[2:]+".json")
}

// readSidecar is empty if there is none, or if it cannot be parsed: it can be made again.
func (s *Store) readSidecar(root *os.Root, key string) (sidecar, error) {
	data, err := root.ReadFile(s.slot(key))
	if errors.Is(err, fs.ErrNotExist) {
		return sidecar{}, nil
	}
	if err != nil {
		return sidecar{}, fmt.Errorf("reading the object's checksum: %w", err)
	}
	var kept sidecar
	if err := json.Unmarshal(data, &kept); err != nil {
		return sidecar{}, nil
	}
	return kept, nil
}

// writeSidecar replaces the sidecar, whole and on disk.
func (s *Store) writeSidecar(root *os.Root, kept sidecar) error {
	data, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	slot, temporary := s.slot(kept.Key), newTemporary()
	defer root.Remove(temporary) // a no-op once it was renamed
	if err = s.makeDir(root, path.Dir(slot)); err == nil {
		err = writeSynced(root, temporary, bytes.NewReader(data))
	}
	if err == nil {
		err = root.Rename(temporary, slot)
	}
	if err == nil {
		err = syncEntry(root, slot)
	}
	if err != nil {
		return fmt.Errorf("keeping the object's checksum: %w", err)
	}
	return nil
}
