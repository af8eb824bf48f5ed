package queue

import (
	"encoding/binary"
	"hash/fnv"
	"math"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// StoredFile is a file that is stored under a name of its own.
type StoredFile struct {
	Path   codestory.Path
	Stored Stored
}

// sameFile reports whether two versions may be those of one file before and after it was moved, which sets its change
// time on some systems and nothing else.
func sameFile(a, b codestory.Version) bool {
	return a.Inode == b.Inode && a.Size == b.Size && a.ModTime == b.ModTime
}

// movedKey is the place of a version in the index of those that are stored, the same for all that are sameFile.
func movedKey(v codestory.Version, path string) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 24), v.Inode)
	b = binary.BigEndian.AppendUint64(b, uint64(v.Size))
	b = binary.BigEndian.AppendUint64(b, uint64(v.ModTime))
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails
	return indexKey(int64(h.Sum64()&math.MaxInt64), path)
}

// StoredElsewhere lists up to limit other paths under which this destination has what may be this version: the file had
// the same size, modification time and inode number there, as it has after a move. Whether the bytes are the same is
// for the caller to find out.
func (c *Claim) StoredElsewhere(limit int) (found []StoredFile, err error) {
	prefix := movedKey(c.Version, "")
	err = c.q.view(func(tx *db.Tx) error {
		for _, path := range pathsOf(tx.Bucket(bucketMoved), prefix) {
			path = path[len(prefix):]
			r, ok, err := getRecord(tx, path)
			if err != nil {
				return err
			}
			stored := c.q.storedHere(r)
			if !ok || stored == nil || !sameFile(r.version, c.Version) || path == string(c.Path) {
				continue
			}
			if found = append(found, StoredFile{codestory.Path(path), *stored}); len(found) == limit {
				return nil
			}
		}
		return nil
	})
	return found, err
}
