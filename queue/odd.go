package queue

import "github.com/codestory/codestoryd/queue/db"

// noteOdd keeps whether the file of the path has a note.
func (ch *change) noteOdd(path string, odd bool) error {
	if odd {
		return ch.tx.Bucket(bucketOdd).Put([]byte(path), nil)
	}
	return ch.tx.Bucket(bucketOdd).Delete([]byte(path))
}

// Odd lists up to limit files that have a note, by path, and counts the others, as far as the first thousand of them. The note
// is the Reason of a file that has no other.
func (q *Queue) Odd(limit int) (odd []File, others int, err error) {
	err = q.view(func(tx *db.Tx) error {
		c := tx.Bucket(bucketOdd).Cursor()
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
