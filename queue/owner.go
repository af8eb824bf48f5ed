package queue

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// Whose a story is stays true when its metadata.json is not readable any more, so it has a value of its own. That is
// small, since each request of a play token asks for it.

// ownership is an entry of bucketOwners.
type ownership struct {
	Owner codestory.Owner `json:"owner"`
	// Read is the version of a metadata.json that is not to be stored, when it was read last.
	Read codestory.Version `json:"read,omitzero"`
}

func getOwnership(tx *db.Tx, id codestory.StoryID) (ownership, bool, error) {
	b := tx.Bucket(bucketOwners).Get([]byte(id))
	if b == nil {
		return ownership{}, false, nil
	}
	var o ownership
	if json.Unmarshal(b, &o) != nil {
		return ownership{}, false, fmt.Errorf("%w: the owner of story %s does not decode", ErrDamaged, id)
	}
	return o, true, nil
}

func putOwnership(tx *db.Tx, id codestory.StoryID, o ownership) error {
	body, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encoding the owner of story %s: %w", id, err)
	}
	return tx.Bucket(bucketOwners).Put([]byte(id), body)
}

func putOwner(tx *db.Tx, id codestory.StoryID, owner codestory.Owner) error {
	o, _, err := getOwnership(tx, id)
	if err != nil {
		return err
	}
	o.Owner = owner
	return putOwnership(tx, id, o)
}

// Owner returns whose the story is; codestory.ErrNotFound if the index does not know the story.
func (q *Queue) Owner(id codestory.StoryID) (codestory.Owner, error) {
	var o ownership
	err := q.view(func(tx *db.Tx) (err error) {
		var ok bool
		o, ok, err = getOwnership(tx, id)
		if err == nil && !ok {
			err = fmt.Errorf("story %s: %w", id, codestory.ErrNotFound)
		}
		return err
	})
	return o.Owner, err
}

// MetadataRead reports whether the version of a metadata.json that is not to be stored was read for the story.
func (q *Queue) MetadataRead(id codestory.StoryID, v codestory.Version) (read bool, err error) {
	err = q.view(func(tx *db.Tx) error {
		o, ok, err := getOwnership(tx, id)
		read = ok && o.Read == v
		return err
	})
	return read, err
}

// noteRead takes over what a metadata.json says that is not to be stored. It is a no-op if the index does not know the
// story: the file makes none.
func (ch *change) noteRead(c Change, now time.Time) error {
	id := codestory.Path(c.Path).Story()
	if _, known, err := getOwnership(ch.tx, id); err != nil || !known {
		return err
	}
	if err := ch.noteStory(id, c.Metadata, now); err != nil {
		return err
	}
	o, _, err := getOwnership(ch.tx, id)
	if err != nil {
		return err
	}
	o.Read = c.Version
	return putOwnership(ch.tx, id, o)
}

// adopt takes over what was read of a metadata.json that the index knew already, if nobody knows whose the story is.
func (ch *change) adopt(id codestory.StoryID, metadata *codestory.Metadata, now time.Time) error {
	o, known, err := getOwnership(ch.tx, id)
	if err != nil || !known || o.Owner.Known() || metadata == nil {
		return err
	}
	return ch.noteStory(id, metadata, now)
}

// Unowned is a story whose owner is not known.
type Unowned struct {
	ID        codestory.StoryID
	FirstSeen time.Time
}

// Unowned lists stories whose owner is not known: at most limit, beginning behind the cursor, "" for the first. next is ""
// after the last.
func (q *Queue) Unowned(limit int, cursor string) (list []Unowned, next string, err error) {
	err = q.view(func(tx *db.Tx) error {
		c := tx.Bucket(bucketNewest).Cursor()
		k, owner := c.First()
		if cursor != "" {
			k, owner = c.Seek([]byte(cursor))
		}
		for ; k != nil; k, owner = c.Next() {
			if len(owner) > 0 || string(k) == cursor {
				continue
			}
			if len(list) == limit {
				return nil
			}
			_, id, _ := splitIndexKey(k)
			s, _, err := getStory(tx, codestory.StoryID(id))
			if err != nil {
				return err
			}
			list, next = append(list, Unowned{s.ID, s.FirstSeen}), string(k)
		}
		next = ""
		return nil
	})
	return list, next, err
}
