package queue

import bolt "go.etcd.io/bbolt"

// bucketOdd has the paths of files with a note: path → "". It is made when it is first needed, and an entry whose record has
// no note counts as none.
var bucketOdd = []byte("odd")

// noteOdd keeps whether the file of the path has a note.
func (ch *change) noteOdd(path string, odd bool) error {
	if odd {
		b, err := ch.tx.CreateBucketIfNotExists(bucketOdd)
		if err != nil {
			return err
		}
		return b.Put([]byte(path), nil)
	}
	if b := ch.tx.Bucket(bucketOdd); b != nil {
		return b.Delete([]byte(path))
	}
	return nil
}

// Odd lists up to limit files that have a note, by path, and counts the others, as far as the first thousand of them. The note
// is the Reason of a file that has no other.
func (q *Queue) Odd(limit int) (odd []File, others int, err error) {
	err = q.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketOdd)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, _ := c.First(); k != nil && others < maxFaultyCounted; k, _ = c.Next() {
			r, ok, err := getRecord(tx, string(k))
			switch {
			case err != nil:
				return err
			case !ok || r.note == "":
			case len(odd) < limit:
				odd = append(odd, File{Path: string(k), Version: r.version, Reason: r.note})
			default:
				others++
			}
		}
		return nil
	})
	return odd, others, err
}
