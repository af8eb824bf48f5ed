package queue

import "github.com/codestory/codestoryd"

// Owner is whose a story is.
type Owner struct {
	User  string
	Known bool // its metadata was read; else it may be anybody's
}

// Owner returns whose the story is; codestory.ErrNotFound if nothing is known of it.
func (q *Queue) Owner(id codestory.StoryID) (Owner, error) {
	s, err := q.Story(id)
	return Owner{s.Metadata.UserID, s.Owned}, err
}
