package queue

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// itemIndexes together hold every item, in the order that Items lists them.
var itemIndexes = [][]byte{bucketReady, bucketDue, bucketBlocked}

// indexOf says which of them, the first being 1, has all items of the state. No other state has items.
var indexOf = map[codestory.FileState]int{codestory.Queued: 1, codestory.Uploading: 1, codestory.Retrying: 2, codestory.Blocked: 3}

// Items lists what waits: what is uploaded now or next, by urgency, then what waits for another attempt, by its time,
// then what needs a person, the longest waiting first. state, where it is not "", leaves out all others. cursor and
// next are as with Stories.
func (q *Queue) Items(state codestory.FileState, limit int, cursor string) (page []File, next string, err error) {
	index, after, err := parseItemCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	indexes := itemIndexes
	if state != "" { // the others are not looked through, however long they are
		if indexes = indexes[:indexOf[state]]; index < len(indexes)-1 {
			index, after = len(indexes)-1, nil
		}
	}
	claimed := q.claimedNow()
	err = q.view(func(tx *db.Tx) error {
		var last string
		for i, k := range indexKeys(tx, indexes, index, after) {
			f, err := q.item(tx, k, claimed)
			switch {
			case err != nil:
				return err
			case state != "" && f.State != state:
				continue
			case len(page) == limit:
				next = last
				return nil
			}
			page, last = append(page, f), itemCursor(i, k)
		}
		return nil
	})
	return page, next, err
}

// indexKeys yields the entries of the indexes from number first on, with the number of their index: of the first index
// those that follow after, or all where that is nil.
func indexKeys(tx *db.Tx, indexes [][]byte, first int, after []byte) func(yield func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		for i := first; i < len(indexes); i, after = i+1, nil {
			c := tx.Bucket(indexes[i]).Cursor()
			for k, _ := c.Seek(after); k != nil; k, _ = c.Next() {
				if !bytes.Equal(k, after) && !yield(i, k) {
					return
				}
			}
		}
	}
}

func (q *Queue) claimedNow() map[string]*Claim {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.claimed)
}

// item is the file that an index entry is of.
func (q *Queue) item(tx *db.Tx, key []byte, claimed map[string]*Claim) (File, error) {
	_, path, ok := splitIndexKey(key)
	if !ok {
		return File{}, fmt.Errorf("%w: an index entry of %d bytes", ErrDamaged, len(key))
	}
	r, ok, err := getRecord(tx, path)
	if err != nil {
		return File{}, err
	}
	if !ok {
		return File{}, fmt.Errorf("%w: %q is in the index and has no record", ErrDamaged, path)
	}
	f := q.describe(path, r)
	if _, ok := claimed[path]; ok && f.State == codestory.Queued {
		f.State = codestory.Uploading
	}
	return f, nil
}

// An item's cursor is the number of its index, as one byte, and its key there.

func itemCursor(index int, key []byte) string {
	return base64.RawURLEncoding.EncodeToString(slices.Concat([]byte{byte(index)}, key))
}

func parseItemCursor(cursor string) (index int, key []byte, err error) {
	if cursor == "" {
		return 0, nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) < 2 || int(b[0]) >= len(itemIndexes) {
		return 0, nil, codestory.ErrCursor
	}
	if _, path, ok := splitIndexKey(b[1:]); !ok || path == "" {
		return 0, nil, codestory.ErrCursor
	}
	return int(b[0]), b[1:], nil
}
