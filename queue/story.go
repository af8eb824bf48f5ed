package queue

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue/db"
)

// Story is what the index knows of a story beside its files.
type Story struct {
	ID        codestory.StoryID  `json:"-"`
	Owner     codestory.Owner    `json:"-"`        // see bucketOwners
	Metadata  codestory.Metadata `json:"metadata"` // the last that parsed
	FirstSeen time.Time          `json:"first_seen"`
}

// CreatedAt is when the story was made, or first seen where its metadata does not say.
func (s Story) CreatedAt() time.Time {
	if s.Metadata.CreatedAt.IsZero() {
		return s.FirstSeen
	}
	return s.Metadata.CreatedAt
}

// newestKey sorts stories by creation, the newest first.
func (s Story) newestKey() []byte {
	return indexKey(math.MaxInt64-nanoseconds(s.CreatedAt()), string(s.ID))
}

func getStory(tx *db.Tx, id codestory.StoryID) (Story, bool, error) {
	b := tx.Bucket(bucketStories).Get([]byte(id))
	if b == nil {
		return Story{}, false, nil
	}
	s, err := decodeStory(id, b)
	if err != nil {
		return Story{}, false, err
	}
	owner, ok, err := getOwnership(tx, id)
	if ok {
		s.Owner = owner.Owner
	}
	return s, err == nil, err
}

func decodeStory(id codestory.StoryID, text []byte) (Story, error) {
	s := Story{ID: id}
	if err := json.Unmarshal(text, &s); err != nil {
		return Story{}, fmt.Errorf("%w: the record of story %s does not decode: %v", ErrDamaged, id, err)
	}
	return s, nil
}

func (s Story) encode() ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encoding story %s: %w", s.ID, err)
	}
	return text, nil
}

// noteStory makes the story known, and takes over what was read of its metadata.json, if anything: what it says of the
// story, and whose it is.
func (ch *change) noteStory(id codestory.StoryID, metadata *codestory.Metadata, now time.Time) error {
	if _, err := codestory.ParseStoryID(string(id)); err != nil {
		return nil // a file that is blocked for its name may have no story
	}
	if metadata == nil && ch.tx.Bucket(bucketStories).Get([]byte(id)) != nil {
		return nil // without decoding what may be a megabyte
	}
	old, had, err := getStory(ch.tx, id)
	if err != nil {
		return err
	}
	next := Story{ID: id, FirstSeen: now}
	if had {
		next.FirstSeen, next.Metadata, next.Owner = old.FirstSeen, old.Metadata, old.Owner
		if err := ch.tx.Bucket(bucketNewest).Delete(old.newestKey()); err != nil {
			return err
		}
	}
	if metadata != nil {
		next.Metadata, next.Owner = *metadata, metadata.OwnerAfter(old.Owner)
	}
	b, err := next.encode()
	if err != nil {
		return err
	}
	return errors.Join(
		ch.tx.Bucket(bucketStories).Put([]byte(id), b),
		ch.tx.Bucket(bucketNewest).Put(next.newestKey(), []byte(next.Owner.Text())),
		putOwner(ch.tx, id, next.Owner),
	)
}

// dropEmptyStory forgets a story of which no file is known any more.
func (ch *change) dropEmptyStory(id codestory.StoryID) error {
	if prefixed(ch.tx.Bucket(bucketFiles), []byte(id+"/")) != nil {
		return nil
	}
	s, ok, err := getStory(ch.tx, id)
	if err != nil || !ok {
		return err
	}
	if err := ch.tx.Bucket(bucketNewest).Delete(s.newestKey()); err != nil {
		return err
	}
	return errors.Join(ch.tx.Bucket(bucketOwners).Delete([]byte(id)), ch.tx.Bucket(bucketStories).Delete([]byte(id)))
}

// Story returns what is known of the story; codestory.ErrNotFound where nothing is.
func (q *Queue) Story(id codestory.StoryID) (Story, error) {
	var s Story
	err := q.view(func(tx *db.Tx) (err error) {
		var ok bool
		s, ok, err = getStory(tx, id)
		if err == nil && !ok {
			err = fmt.Errorf("story %s: %w", id, codestory.ErrNotFound)
		}
		return err
	})
	return s, err
}

// Stories lists stories, the newest first: those that are known to be one user's, or all if owner is nil. cursor is "" for the
// first page, and the next that the page before returned; next is "" on the last. A cursor of other origin is
// codestory.ErrCursor.
func (q *Queue) Stories(owner *string, limit int, cursor string) (page []Story, next string, err error) {
	after, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	err = q.view(func(tx *db.Tx) error {
		c := tx.Bucket(bucketNewest).Cursor()
		k, user := c.Seek(after)
		if after != nil && slices.Equal(k, after) {
			k, user = c.Next()
		}
		var last []byte
		for ; k != nil; k, user = c.Next() {
			if owner != nil && string(user) != codestory.OwnedBy(*owner).Text() {
				continue
			}
			if len(page) == limit {
				next = base64.RawURLEncoding.EncodeToString(last)
				return nil
			}
			_, id, _ := splitIndexKey(k)
			s, ok, err := getStory(tx, codestory.StoryID(id))
			if err != nil {
				return err
			}
			if ok {
				page = append(page, s)
			}
			last = slices.Clone(k)
		}
		return nil
	})
	return page, next, err
}

// parseCursor reads the key of the last story of a page.
func parseCursor(cursor string) ([]byte, error) {
	if cursor == "" {
		return nil, nil
	}
	key, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, codestory.ErrCursor
	}
	_, id, _ := splitIndexKey(key)
	if _, err := codestory.ParseStoryID(id); err != nil {
		return nil, codestory.ErrCursor
	}
	return key, nil
}
