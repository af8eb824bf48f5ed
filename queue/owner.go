package queue

import (
	"sync"

	"github.com/codestory/codestoryd"
)

// Owner is whose a story is.
type Owner struct {
	User  string
	Known bool // its metadata was read; else it may be anybody's
}

// maxOwners bounds those that are remembered.
const maxOwners = 4096

// owners remembers what was looked up: each request of a play token asks, and a story's record may be a megabyte.
type owners struct {
	mu      sync.Mutex
	known   map[codestory.StoryID]Owner
	changes uint64 // counts what was forgotten, so that nothing is remembered that was read before
}

// Owner returns whose the story is; codestory.ErrNotFound where nothing is known of it.
func (q *Queue) Owner(id codestory.StoryID) (Owner, error) {
	o := &q.owners
	o.mu.Lock()
	owner, ok := o.known[id]
	changes := o.changes
	o.mu.Unlock()
	if ok {
		return owner, nil
	}
	s, err := q.Story(id)
	if err != nil {
		return Owner{}, err
	}
	owner = Owner{s.Metadata.UserID, s.Owned}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changes == changes {
		if o.known == nil || len(o.known) >= maxOwners {
			o.known = map[codestory.StoryID]Owner{}
		}
		o.known[id] = owner
	}
	return owner, nil
}

// forget forgets the owners of stories whose records were written.
func (o *owners) forget(ids []codestory.StoryID) {
	if len(ids) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changes++
	for _, id := range ids {
		delete(o.known, id)
	}
}

// reset forgets all, as of a database that was lost.
func (o *owners) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changes++
	o.known = nil
}
