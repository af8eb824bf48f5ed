package api

import (
	"context"
	"net/http"
	"slices"
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
	owner   codestory.Owner // as it was when the caller was let in; not known if that is one of scope manage
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
	answer := codestory.StoryPage{Stories: make([]codestory.Story, 0, len(page.Stories)), NextCursor: page.NextCursor}
	for _, story := range page.Stories {
		if !caller.MayRead(story.Owner) { // since it was listed
			continue
		}
		story = s.presented(story)
		story.Files = nil
		answer.Stories = append(answer.Stories, story)
	}
	return writeJSON(w, http.StatusOK, answer)
}

// story answers GET /api/storage/stories/{id}.
func (s *server) story(w http.ResponseWriter, r *http.Request, req storyRequest) error {
	story, err := s.lib.Story(r.Context(), req.id)
	if err != nil {
		return err
	}
	asked := s.askForWhole(r.Context(), story)
	if !req.caller.MayRead(asked.Owner) { // since it was looked up
		return errOwner
	}
	story = told(s.presented(asked), req.caller)
	if story.Files == nil {
		story.Files = []codestory.File{}
	}
	return writeJSON(w, http.StatusOK, story)
}

// presented is the story with the URLs that its KEY opens. The feed's are there before there is something to play.
func (s *server) presented(story codestory.Story) codestory.Story {
	urls := s.keyURLs(story)
	story.PlayURL, story.FeedURL, story.PlaylistURL = nil, &urls.FeedURL, &urls.PlaylistURL
	if _, ok := playsAs(story); ok {
		story.PlayURL = &urls.PlayURL
	}
	if story.Chapters == nil {
		story.Chapters = []codestory.Chapter{}
	}
	return story
}

// playsAs is the file that the player URL of the story is of: story.mp3 where it is known, here or in the store, else what
// its feed takes for the whole story, else the first chapter; false where none of them plays.
func playsAs(story codestory.Story) (codestory.Path, bool) {
	whole := codestory.StoryAudioPath(story.ID)
	known := func(f codestory.File) bool { return f.Path == whole && f.State != codestory.Missing }
	if slices.ContainsFunc(story.Files, known) || slices.Contains(story.Kept, whole) {
		return whole, true
	}
	playable := playable(story)
	if f, ok := wholeStory(story, playable); ok {
		return f.Path, true
	}
	first := codestory.ChapterPath(story.ID, 1)
	return first, sounds(playable[first]) || slices.Contains(story.Kept, first)
}

// askForWhole has the store asked for story.mp3 where nothing of the story is on this machine: what another has stored is
// not in the index before. Where the answer is no, or none, the story is as it was.
func (s *server) askForWhole(ctx context.Context, story codestory.Story) codestory.Story {
	if _, ok := playsAs(story); ok || slices.ContainsFunc(story.Files, isHere) {
		return story
	}
	if _, err := s.lib.Locate(ctx, codestory.StoryAudioPath(story.ID)); err != nil {
		return story
	}
	if again, err := s.lib.Story(ctx, story.ID); err == nil {
		return again
	}
	return story
}

// isHere reports whether the file is on this machine.
func isHere(f codestory.File) bool { return f.ModifiedAt != nil }

// metadata answers GET /api/storage/stories/{id}/metadata with the bytes of metadata.json, whether they parse or not.
func (s *server) metadata(w http.ResponseWriter, r *http.Request, req storyRequest) error {
	return s.serveFile(w, r, codestory.MetadataPath(req.id), "no-store")
}
