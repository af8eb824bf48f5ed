package api

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"

	"github.com/codestory/codestoryd"
)

const (
	defaultStories = 50   // stories on a page
	maxStories     = 1000 // at most

	maxPageBytes = 1 << 20 // of a page of more than one story
)

// stories answers GET /api/storage/stories.
func (s *server) stories(w http.ResponseWriter, r *request) error {
	q, err := parseQuery(r.Request)
	if err != nil {
		return err
	}
	limit, err := intParam(q, "limit", defaultStories, 1, maxStories)
	if err != nil {
		return err
	}
	owner := &r.caller.User
	if r.caller.Scope == codestory.ScopeManage {
		owner = nil
	}
	return s.writeStories(w, s.list(r.Context(), owner, q.Get("cursor")), int(limit))
}

// listed is a story of a list, with the cursor behind it: nil for the last.
type listed struct {
	codestory.Story
	next *string
}

// list reads stories as they are asked for, the newest first. An error ends it.
func (s *server) list(ctx context.Context, owner *string, cursor string) iter.Seq2[listed, error] {
	return func(yield func(listed, error) bool) {
		for more := true; more; {
			var page codestory.StoryPage
			err := s.make(ctx, func() (err error) {
				page, err = s.lib.Stories(ctx, owner, 1, cursor)
				return err
			})
			if err != nil {
				yield(listed{}, err)
				return
			}
			for _, story := range page.Stories {
				if owner != nil && !story.Owner.Is(*owner) { // since it was listed
					continue
				}
				if !yield(listed{story, page.NextCursor}, nil) {
					return
				}
			}
			if more = page.NextCursor != nil; more {
				cursor = *page.NextCursor
			}
		}
	}
}

// writeStories answers with a page of the list. It holds one story at a time.
func (s *server) writeStories(w http.ResponseWriter, list iter.Seq2[listed, error], limit int) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	var next *string
	n, size, before := 0, 0, `{"stories":[`
	for l, err := range list {
		if err != nil && n > 0 {
			panic(http.ErrAbortHandler) // so that nobody takes the page for a whole one
		}
		if err != nil {
			return err
		}
		b := s.encodeListed(l.Story)
		if n > 0 && size+len(b) > maxPageBytes {
			break
		}
		if _, err := w.Write(append([]byte(before), b...)); err != nil {
			return nil // nobody reads it any more
		}
		n, size, before, next = n+1, size+len(b), ",", l.next
		if n == limit {
			break
		}
	}
	if n > 0 {
		before = ""
	}
	_, _ = fmt.Fprintf(w, `%s],"next_cursor":%s}`+"\n", before, bytes.TrimSpace(encode(next)))
	return nil
}

// encodeListed is the story as a list has it.
func (s *server) encodeListed(story codestory.Story) []byte {
	story = s.presented(story)
	story.Files = nil
	return bytes.TrimSpace(encode(story))
}

// story answers GET /api/storage/stories/{id}.
func (s *server) story(w http.ResponseWriter, r *request) error {
	story, err := s.lib.Story(r.Context(), r.story)
	if err != nil {
		return err
	}
	asked := s.askForWhole(r.Context(), story)
	if !r.caller.MayRead(asked.Owner) { // since it was looked up
		return errOwner
	}
	story = redact(s.presented(asked), r.caller)
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

// playsAs is the file that the player URL of the story is of: story.mp3 if it is known, here or in the store, else what
// its feed takes for the whole story, else the first chapter; false if none of them plays.
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
	if i := slices.IndexFunc(story.Chapters, func(c codestory.Chapter) bool { return c.Number == 1 }); i >= 0 {
		first = story.Chapters[i].Path
	}
	return first, sounds(playable[first]) || slices.Contains(story.Kept, first)
}

// askForWhole has the store asked for story.mp3 if nothing of the story is on this machine: what another has stored is
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
func (s *server) metadata(w http.ResponseWriter, r *request) error {
	return serveFile(s.lib.Open, w, r.Request, codestory.MetadataPath(r.story), "no-store")
}

// deleteStory answers DELETE /api/storage/stories/{id}.
func (s *server) deleteStory(w http.ResponseWriter, r *request) error {
	q, err := parseQuery(r.Request)
	if err != nil {
		return err
	}
	local, err := flagParam(q, "local")
	if err != nil {
		return err
	}
	if err := s.editor.Delete(r.Context(), r.story, local); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// plainReasons are the reasons that tokens of scope play get for a file that waits. The true reason is for the person who runs
// the daemon: it names the store, its bucket, folders, and what they answered.
var plainReasons = map[codestory.FileState]string{
	codestory.Settling: "it is still being written",
	codestory.Queued:   "it waits to be stored",
	codestory.Retrying: "it could not be stored yet, and is tried again",
	codestory.Blocked:  "it cannot be stored: whoever runs the daemon is told why",
	codestory.Missing:  "it is not to be had at the moment",
}

// redact hides from a token of scope play what only scope manage may see.
func redact(story codestory.Story, caller codestory.Token) codestory.Story {
	files := make([]codestory.File, len(story.Files))
	for i, f := range story.Files {
		files[i] = redactFile(f, caller)
	}
	story.Files = files
	return story
}

func redactFile(f codestory.File, caller codestory.Token) codestory.File {
	if f.Reason == nil || caller.Scope == codestory.ScopeManage {
		return f
	}
	f.Reason = nil
	if plain, ok := plainReasons[f.State]; ok {
		f.Reason = &plain
	}
	return f
}
