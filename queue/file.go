package queue

import (
	"bytes"
	"cmp"
	"fmt"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// File is what the index knows of one file.
type File struct {
	Path    string
	State   codestory.FileState
	Version codestory.Version // zero where the file was never seen here, or is gone
	Reason  string            // why it waits, or what is odd about it; "" for nothing to say
	Attempt int               // attempts that failed
	Due     time.Time         // when a retrying file is tried again
	Stored  *Stored           // the object in the present destination, of this version or an older one; nil for none

	generation uint64
}

// Size is that of the file, or of its object where the file is gone.
func (f File) Size() int64 {
	if f.Version == (codestory.Version{}) && f.Stored != nil {
		return f.Stored.Size
	}
	return f.Version.Size
}

// Stored describes an object in the store.
type Stored struct {
	Size int64
	ETag string // without quotes
	MD5  string // lower-case hexadecimal; "" where it is not known
}

func (s Stored) record(destination, generation uint64, now time.Time) stored {
	return stored{
		destination: destination, generation: generation,
		size: s.Size, etag: s.ETag, md5: s.MD5, at: now.UnixNano(),
	}
}

// File returns what is known of the path; codestory.ErrNotFound where nothing is.
func (q *Queue) File(path codestory.Path) (File, error) {
	var r record
	err := q.view(func(tx *db.Tx) (err error) {
		known := false
		if r, known, err = getRecord(tx, string(path)); err == nil && !known {
			err = fmt.Errorf("%s: %w", path, codestory.ErrNotFound)
		}
		return err
	})
	if err != nil {
		return File{}, err
	}
	files := []File{q.describe(string(path), r)}
	q.markUploading(files)
	return files[0], nil
}

// Files lists the files of a story, by path.
func (q *Queue) Files(id codestory.StoryID) ([]File, error) {
	var files []File
	prefix := []byte(id + "/")
	err := q.view(func(tx *db.Tx) error {
		c := tx.Bucket(bucketFiles).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			r, err := decode(k, v)
			if err != nil {
				return err
			}
			files = append(files, q.describe(string(k), r))
		}
		return nil
	})
	q.markUploading(files)
	return files, err
}

// describe is the record for people, claimed or not.
func (q *Queue) describe(path string, r record) File {
	f := File{
		Path: path, Version: r.version, Reason: cmp.Or(r.reason, r.note), Attempt: int(r.attempt), Stored: q.storedHere(r),
		generation: r.generation,
	}
	switch r.state {
	case stateQueued:
		f.State = codestory.Queued
	case stateRetrying:
		f.State, f.Due = codestory.Retrying, unixTime(r.due)
	case stateBlocked:
		f.State = codestory.Blocked
	case stateSettling:
		f.State = codestory.Settling
	case stateIgnored:
		f.State = codestory.LeftOut
	case stateSynced:
		f.State = codestory.Synced
		if f.Stored == nil {
			f.State = codestory.Missing
		}
	}
	return f
}

// storedHere is the record's object, where it is in the present destination.
func (q *Queue) storedHere(r record) *Stored {
	if q.destination == 0 || r.stored.destination != q.destination {
		return nil
	}
	return &Stored{Size: r.stored.size, ETag: r.stored.etag, MD5: r.stored.md5}
}

// markUploading tells the claimed ones from the queued. It has to come after the transaction; see Queue.mu.
func (q *Queue) markUploading(files []File) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range files {
		if _, claimed := q.claimed[files[i].Path]; claimed && files[i].State == codestory.Queued {
			files[i].State = codestory.Uploading
		}
	}
}
