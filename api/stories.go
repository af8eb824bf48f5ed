package api

import (
	"net/http"
	"strconv"

	"github.com/codestory/codestoryd"
	"github.com/julienschmidt/httprouter"
)

const (
	defaultStories = 50   // stories on a page
	maxStories     = 1000 // at most
)

// storyRequest is what the path of a story's route names.
type storyRequest struct {
	id      codestory.StoryID
	chapter int // 0 is the whole story
	caller  codestory.Token
}

// parseStoryRequest reads the path's parameters. A chapter's number is written in one way only, without zeros in
// front.
func parseStoryRequest(p httprouter.Params) (storyRequest, error) {
	id, err := codestory.ParseStoryID(p.ByName("id"))
	if err != nil {
		return storyRequest{}, errNotFound
	}
	req := storyRequest{id: id}
	if digits := p.ByName("n"); digits != "" {
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || strconv.Itoa(n) != digits {
			return storyRequest{}, errNotFound
		}
		req.chapter = n
	}
	return req, nil
}

// audioPath is the file that the route plays.
func (r storyRequest) audioPath() codestory.Path {
	if r.chapter == 0 {
		return codestory.StoryAudioPath(r.id)
	}
	return codestory.ChapterPath(r.id, r.chapter)
}

// stories answers GET /api/storage/stories.
func (s *server) stories(w http.ResponseWriter, r *http.Request, caller codestory.Token) error {
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	limit, err := intParam(q, "limit", defaultStories, 1, maxStories)
	if err != nil {
		return err
	}
	owner := &caller.User
	if caller.Scope == codestory.ScopeManage {
		owner = nil
	}
	page, err := s.lib.Stories(r.Context(), owner, int(limit), q.Get("cursor"))
	if err != nil {
		return err
	}
	answer := codestory.StoryPage{Stories: make([]codestory.Story, len(page.Stories)), NextCursor: page.NextCursor}
	for i, story := range page.Stories {
		answer.Stories[i] = s.presented(story)
		answer.Stories[i].Files = nil
	}
	return writeJSON(w, http.StatusOK, answer)
}

// story answers GET /api/storage/stories/{id}.
func (s *server) story(w http.ResponseWriter, r *http.Request, req storyRequest) error {
	story, err := s.lib.Story(r.Context(), req.id)
	if err != nil {
		return err
	}
	story = told(s.presented(story), req.caller)
	if story.Files == nil {
		story.Files = []codestory.File{}
	}
	return writeJSON(w, http.StatusOK, story)
}

// presented is the story with the URLs that its KEY opens, whether there is something to play yet or not.
func (s *server) presented(story codestory.Story) codestory.Story {
	urls := s.keyURLs(story.ID)
	story.PlayURL, story.FeedURL, story.PlaylistURL = &urls.PlayURL, &urls.FeedURL, &urls.PlaylistURL
	if story.Chapters == nil {
		story.Chapters = []codestory.Chapter{}
	}
	return story
}

// metadata answers GET /api/storage/stories/{id}/metadata with the bytes of metadata.json, whether they parse or not.
func (s *server) metadata(w http.ResponseWriter, r *http.Request, req storyRequest) error {
	return s.serveFile(w, r, codestory.MetadataPath(req.id), "no-store")
}
