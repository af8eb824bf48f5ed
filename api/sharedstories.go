package api

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
)

const (
	// maxShared is how many stories are kept for other listeners. Each may have half a megabyte.
	maxShared = 8
	// sharedFor is for how long: an event tells how its story is by now.
	sharedFor = time.Second
)

// sharedStories are the stories of the last events, encoded once for all who listen.
type sharedStories struct {
	mu   sync.Mutex // guards what follows
	last []sharedStory
}

type sharedStory struct {
	event uint64
	made  time.Time
	owner codestory.Owner // when it was made
	data  []byte          // nil if the story cannot be had
}

// of is the story of that event. make makes it, unless another listener was sent it a moment ago.
func (s *sharedStories) of(event uint64, make func() sharedStory) sharedStory {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = slices.DeleteFunc(s.last, func(e sharedStory) bool { return time.Since(e.made) >= sharedFor })
	if i := slices.IndexFunc(s.last, func(e sharedStory) bool { return e.event == event }); i >= 0 {
		return s.last[i]
	}
	story := make()
	story.event, story.made = event, time.Now()
	if story.data != nil && len(s.last) < maxShared {
		s.last = append(s.last, story)
	}
	return story
}

// storyEvent is the story as listeners get it.
func (s *server) storyEvent(ctx context.Context, id codestory.StoryID) sharedStory {
	story, err := s.lib.Story(ctx, id)
	if err != nil {
		return sharedStory{}
	}
	return sharedStory{owner: story.Owner, data: s.encodeListed(story)}
}
