package queue

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// What was read of a file of sound is kept beside its record, with the version that it is of. It can be read again at any
// time.

// Sound is what was read of one version of a file.
type Sound struct {
	Path    codestory.Path
	Version codestory.Version
	Audio   codestory.Audio
	At      time.Time // when it was read
}

// soundEntry begins with what the file is told by, so that it is quick to see whether a file was read.
type soundEntry struct {
	generation uint64
	version    codestory.Version
	at         time.Time
	audio      codestory.Audio // as JSON
}

// of reports whether the entry is of what the record means: the file here, or its object where the file is gone.
func (e soundEntry) of(r record) bool {
	if r.version == (codestory.Version{}) {
		return r.stored.destination != 0 && e.generation == r.stored.generation && e.version.Size == r.stored.size
	}
	return e.version == r.version
}

func (e soundEntry) encode() ([]byte, error) {
	b := binary.AppendUvarint(nil, e.generation)
	b = binary.AppendVarint(b, e.version.Size)
	b = binary.AppendVarint(b, e.version.ModTime)
	b = binary.AppendVarint(b, e.version.ChangeTime)
	b = binary.AppendUvarint(b, e.version.Inode)
	b = binary.AppendVarint(b, e.at.UnixNano())
	text, err := json.Marshal(e.audio)
	return append(b, text...), err
}

// getSound is the entry of the path, without its audio, which is the text; false where there is none that can be read.
func getSound(tx *db.Tx, path []byte) (e soundEntry, text []byte, ok bool) {
	b := tx.Bucket(bucketAudio).Get(path)
	if b == nil {
		return soundEntry{}, nil, false
	}
	d := decoder{rest: b}
	e.generation = d.uvarint()
	e.version = codestory.Version{Size: d.varint(), ModTime: d.varint(), ChangeTime: d.varint(), Inode: d.uvarint()}
	e.at = unixTime(d.varint())
	return e, d.rest, !d.bad
}

// soundOf is the entry of the path with its audio, where it is of the record.
func soundOf(tx *db.Tx, path []byte, r record) (e soundEntry, ok bool) {
	e, text, ok := getSound(tx, path)
	ok = ok && e.of(r) && json.Unmarshal(text, &e.audio) == nil
	return e, ok
}

// SaveSounds keeps what was read. Of a version that is not the present one any more nothing is kept.
func (q *Queue) SaveSounds(sounds []Sound) error {
	if len(sounds) == 0 {
		return nil
	}
	return q.commit(func(ch *change) error {
		for _, s := range sounds {
			if err := ch.saveSound(s); err != nil {
				return err
			}
		}
		return nil
	})
}

func (ch *change) saveSound(s Sound) error {
	r, ok, err := getRecord(ch.tx, string(s.Path))
	if err != nil || !ok || r.version != s.Version {
		return err
	}
	b, err := soundEntry{r.generation, s.Version, s.At, s.Audio}.encode()
	if err != nil {
		return err
	}
	if e, _, read := getSound(ch.tx, []byte(s.Path)); !read || !e.of(r) { // what is read again says the same
		ch.noteSound(string(s.Path), r)
	}
	if err := ch.tx.Bucket(bucketAudio).Put([]byte(s.Path), b); err != nil {
		return err
	}
	faulty := ch.tx.Bucket(bucketFaulty)
	if len(s.Audio.Faults) == 0 {
		return faulty.Delete([]byte(s.Path))
	}
	return faulty.Put([]byte(s.Path), nil)
}

// forgetSound forgets what was read of a path that nothing is known of any more, and that it was odd.
func (ch *change) forgetSound(path string) error {
	var errs []error
	for _, name := range [][]byte{bucketAudio, bucketFaulty, bucketOdd} {
		errs = append(errs, ch.tx.Bucket(name).Delete([]byte(path)))
	}
	return errors.Join(errs...)
}

// Sounds returns what was read of the story's files, as they are here, or in the store where they are here no more.
func (q *Queue) Sounds(id codestory.StoryID) (map[codestory.Path]codestory.Audio, error) {
	sounds := map[codestory.Path]codestory.Audio{}
	prefix := []byte(id + "/")
	err := q.view(func(tx *db.Tx) error {
		c := tx.Bucket(bucketAudio).Cursor()
		for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			r, ok, err := getRecord(tx, string(k))
			if err != nil {
				return err
			}
			if e, read := soundOf(tx, k, r); ok && read {
				sounds[codestory.Path(k)] = e.audio
			}
		}
		return nil
	})
	return sounds, err
}

// SoundsOf returns what was read of each of the files, in the version that it is described in; nil where nothing was, or
// there is another by now.
func (q *Queue) SoundsOf(files []File) ([]*codestory.Audio, error) {
	sounds := make([]*codestory.Audio, len(files))
	err := q.view(func(tx *db.Tx) error {
		for i, f := range files {
			r, ok, err := getRecord(tx, f.Path)
			if err != nil {
				return err
			}
			if e, read := soundOf(tx, []byte(f.Path), r); ok && read && r.version == f.Version {
				sounds[i] = &e.audio
			}
		}
		return nil
	})
	return sounds, err
}

// Unread lists files on this machine, of those that are wanted, of which nothing was read in their present version. It
// looks at limit records behind the path after, and returns where to go on; "" at the end.
func (q *Queue) Unread(after string, limit int, wanted func(path string) bool) (unread []Change, next string, err error) {
	err = q.view(func(tx *db.Tx) error {
		c := tx.Bucket(bucketFiles).Cursor()
		k, _ := c.Seek([]byte(after))
		if after != "" && string(k) == after {
			k, _ = c.Next()
		}
		for n := 0; k != nil; k, _ = c.Next() {
			if n++; n > limit {
				return nil
			}
			next = string(k)
			r, _, err := getRecord(tx, next)
			if err != nil {
				return err
			}
			if r.version == (codestory.Version{}) || r.state == stateSettling || !wanted(next) {
				continue
			}
			if e, _, read := getSound(tx, k); !read || !e.of(r) {
				unread = append(unread, Change{Path: next, Version: r.version})
			}
		}
		next = ""
		return nil
	})
	return unread, next, err
}

// maxFaultyCounted bounds what is counted of files that are not listed.
const maxFaultyCounted = 1000

// Faulty lists up to limit files with faults, by path, and counts the others, as far as the first thousand of them.
func (q *Queue) Faulty(limit int) (faulty []Sound, others int, err error) {
	err = q.view(func(tx *db.Tx) error {
		c := tx.Bucket(bucketFaulty).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			r, ok, err := getRecord(tx, string(k))
			if err != nil {
				return err
			}
			if ok && len(faulty) == limit {
				if e, _, read := getSound(tx, k); read && e.of(r) {
					others++
				}
				if others == maxFaultyCounted {
					return nil
				}
				continue
			}
			e, read := soundOf(tx, k, r)
			if !ok || !read {
				continue
			}
			faulty = append(faulty, Sound{codestory.Path(k), e.version, e.audio, e.at})
		}
		return nil
	})
	return faulty, others, err
}
