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
	data  []byte
}

// of is the story of that event; nil if it cannot be had. make makes it, unless another listener was sent it a moment ago.
func (s *sharedStories) of(event uint64, make func() []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = slices.DeleteFunc(s.last, func(e sharedStory) bool { return time.Since(e.made) >= sharedFor })
	if i := slices.IndexFunc(s.last, func(e sharedStory) bool { return e.event == event }); i >= 0 {
		return s.last[i].data
	}
	data := make()
	if data != nil && len(s.last) < maxShared {
		s.last = append(s.last, sharedStory{event, time.Now(), data})
	}
	return data
}

// storyEvent is the story as listeners get it; nil if it is not known any more.
func (s *server) storyEvent(ctx context.Context, id codestory.StoryID) []byte {
	story, err := s.lib.Story(ctx, id)
	if err != nil {
		return nil
	}
	return s.encodeListed(story)
}
