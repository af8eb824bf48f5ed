package queue

import (
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd"
)

// Whose a story is stays true when its metadata.json is not readable any more, so it has a value of its own. That is
// small, since each request of a play token asks for it.

// ownership is an entry of bucketOwners.
type ownership struct {
	Owner codestory.Owner `json:"owner"`
	// Read is the version of a metadata.json that is not to be stored, when it was read last.
	Read codestory.Version `json:"read,omitzero"`
}

func getOwnership(tx *bolt.Tx, id codestory.StoryID) (ownership, bool, error) {
	bucket := tx.Bucket(bucketOwners)
	if bucket == nil { // a database of an older schema that is only looked at
		return ownership{}, false, nil
	}
	b := bucket.Get([]byte(id))
	if b == nil {
		return ownership{}, false, nil
	}
	var o ownership
	body, ok := unseal([]byte(id), b)
	if !ok || json.Unmarshal(body, &o) != nil {
		return ownership{}, false, fmt.Errorf("%w: the owner of story %s does not decode", ErrDamaged, id)
	}
	return o, true, nil
}

func putOwnership(tx *bolt.Tx, id codestory.StoryID, o ownership) error {
	body, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encoding the owner of story %s: %w", id, err)
	}
	return tx.Bucket(bucketOwners).Put([]byte(id), seal([]byte(id), body))
}

func putOwner(tx *bolt.Tx, id codestory.StoryID, owner codestory.Owner) error {
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
	err := q.view(func(tx *bolt.Tx) (err error) {
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
	err = q.view(func(tx *bolt.Tx) error {
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
	err = q.view(func(tx *bolt.Tx) error {
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

// oldOwner is what the record of a story said of the owner before schema 4. "" was also that of a story whose owner is
// not known, so it says nothing.
type oldOwner struct {
	Owned    bool `json:"owned"`
	Metadata struct {
		UserID string `json:"user_id"`
	} `json:"metadata"`
}

func (o oldOwner) owner() codestory.Owner {
	if !o.Owned || o.Metadata.UserID == "" {
		return codestory.Owner{}
	}
	return codestory.OwnedBy(o.Metadata.UserID)
}

// convertStory brings the record of a story to schema 4, in which the owner has a value of its own.
func convertStory(tx *bolt.Tx, key, value []byte) ([]byte, error) {
	id := codestory.StoryID(key)
	s, err := decodeStory(id, value)
	if err != nil {
		return nil, err
	}
	if o, ok, err := getOwnership(tx, id); err != nil {
		return nil, err
	} else if ok {
		s.Owner = o.Owner
	}
	if err := tx.Bucket(bucketNewest).Put(s.newestKey(), []byte(s.Owner.Text())); err != nil {
		return nil, err
	}
	if err := putOwner(tx, id, s.Owner); err != nil {
		return nil, err
	}
	return s.encode()
}
