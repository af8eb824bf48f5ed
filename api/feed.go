package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/feed"
	"github.com/julienschmidt/httprouter"
)

// The files below /feed/, by what is behind the story's id.
const (
	feedXML      = ".xml"
	feedM3U8     = ".m3u8"
	feedChapters = ".chapters.json"

	feedLibrary = "library.xml"
)

// feedURL is the URL of one of the story's files below /feed/, with its KEY. It does not expire.
func (s *server) feedURL(story codestory.Story, ending string, q url.Values) string {
	if q == nil {
		q = url.Values{}
	}
	q.Set("k", s.access.PlayKey(story.ID, story.Owner))
	return s.absoluteURL("/feed/"+string(story.ID)+ending, q)
}

// libraryURL is the URL of the feed of all the user's stories: of those from cursor on, whose episodes are older than newer if
// that is a time.
func (s *server) libraryURL(user, cursor string, newer time.Time) string {
	q := url.Values{"k": {s.access.LibraryKey(user)}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	if !newer.IsZero() {
		q.Set("before", newer.UTC().Format(time.RFC3339))
	}
	return s.absoluteURL("/feed/"+feedLibrary, q)
}

// feed answers GET and HEAD /feed/{file}, to whoever brings the KEY. Nothing but whose the story is, is looked up before
// that is proved.
func (s *server) feed(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(q["k"]) != 1 {
		return errLinkInvalid
	}
	file := p.ByName("file")
	if file == feedLibrary {
		user, ok := s.access.LibraryUser(q.Get("k"))
		if !ok {
			return errLinkInvalid
		}
		return s.rooms.serve(r, libraryClient(user), feeds, func(r *http.Request) error {
			return s.libraryFeed(w, r, user, q)
		})
	}
	name, ending, _ := strings.Cut(file, ".")
	id, err := codestory.ParseStoryID(name)
	if err != nil {
		return errNotFound
	}
	if err := s.openedBy(r.Context(), id, q["k"]); err != nil {
		return err
	}
	return s.rooms.serve(r, storyClient(id), feeds, func(r *http.Request) error { return s.storyFeed(w, r, id, "."+ending, q) })
}

// storyFeed answers with one of the story's files below /feed/.
func (s *server) storyFeed(w http.ResponseWriter, r *http.Request, id codestory.StoryID, ending string, q url.Values) error {
	story, err := s.wholeStoryOf(r.Context(), id)
	if err != nil {
		return err
	}
	if err := s.opens(id, story.Owner, q.Get("k")); err != nil { // since it was looked up
		return err
	}
	show := s.newShow(story)
	switch ending {
	case feedXML:
		return s.writePodcast(w, r, show.podcast())
	case feedM3U8:
		return writeFeed(w, r, feed.PlaylistType, feed.Playlist(show.title(), show.tracks()))
	case feedChapters:
		chapters, err := show.chapters(q)
		if err != nil {
			return err
		}
		return writeFeed(w, r, feed.ChaptersType, chapters.JSON())
	case transcriptEnding:
		return show.serveTranscript(w, r, q)
	default:
		return errNotFound
	}
}

// maxAsked is how many files of a story the store is asked for at once.
const maxAsked = 100

// wholeStoryOf is the story with all that can be known of it. What another machine has stored is not in the index before
// the store was asked for it, and a feed names files that nobody has asked for yet.
func (s *server) wholeStoryOf(ctx context.Context, id codestory.StoryID) (codestory.Story, error) {
	story, err := s.lib.Story(ctx, id)
	if err != nil || slices.ContainsFunc(story.Files, isHere) {
		return story, err
	}
	paths := []codestory.Path{codestory.StoryAudioPath(id)}
	for _, c := range story.Chapters {
		paths = append(paths, c.Path)
	}
	found := false
	for _, path := range paths[:min(len(paths), maxAsked)] {
		known := slices.ContainsFunc(story.Files, func(f codestory.File) bool { return f.Path == path && f.State != codestory.Missing })
		if !known {
			_, err := s.lib.Locate(ctx, path)
			found = found || err == nil
		}
	}
	if !found {
		return story, nil
	}
	return s.lib.Story(ctx, id)
}

// What is in one file of a library's feed, at most, but for the last story's chapters. Those before them are in the next.
const (
	maxLibrary         = 1000 // stories
	maxLibraryEpisodes = 1000
)

// libraryFeed answers with the stories of one user, the newest first, one episode for each.
func (s *server) libraryFeed(w http.ResponseWriter, r *http.Request, user string, q url.Values) error {
	var oldest time.Time // of what is in the feed, or before it
	if q.Has("before") {
		var err error
		if oldest, err = time.Parse(time.RFC3339, q.Get("before")); err != nil {
			return badRequest("invalid_parameter", "before has to be a time as RFC 3339 has it")
		}
	}
	cursor := q.Get("cursor")
	podcast := feed.Podcast{
		Title: "Code Story", Description: "All stories, the newest first.",
		Link: s.absoluteURL("/", nil), Self: s.libraryURL(user, cursor, oldest),
	}
	if user != "" {
		podcast.Title += ": " + user
	}
	stories := 0
	for l, err := range s.list(r.Context(), &user, cursor) {
		if err != nil {
			return err
		}
		show := s.newShow(l.Story)
		episodes := show.inLibrary()
		oldest = feed.Before(oldest, episodes)
		podcast.Episodes = append(podcast.Episodes, episodes...)
		podcast.Image = cmp.Or(podcast.Image, show.cover) // of the newest that has one
		stories++
		if l.next != nil && (stories == maxLibrary || len(podcast.Episodes) >= maxLibraryEpisodes) {
			podcast.Next = s.libraryURL(user, *l.next, oldest)
			break
		}
	}
	return s.writePodcast(w, r, podcast)
}

func (s *server) writePodcast(w http.ResponseWriter, r *http.Request, p feed.Podcast) error {
	var body bytes.Buffer
	if err := s.make(r.Context(), func() error { return p.Write(&body) }); err != nil {
		return err
	}
	return writeFeed(w, r, feed.ContentType, body.Bytes())
}

// writeFeed answers with a body that was made for this request, or that it is the one that the client has. Players ask
// often: they are told to keep it, and to ask whether it still holds. They go by its tag alone: what a feed says changes
// with what is found out of its files, and no date of theirs tells when that was.
func writeFeed(w http.ResponseWriter, r *http.Request, contentType string, body []byte) error {
	sum := sha256.Sum256(body)
	h := w.Header()
	h.Set("Cache-Control", "private, no-cache")
	if !inert(contentType) {
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	}
	return serveContent(w, r, &codestory.Content{
		Body: made{bytes.NewReader(body)}, Size: int64(len(body)),
		ETag: base64.RawURLEncoding.EncodeToString(sum[:16]),
	}, contentType)
}

// made is a body in memory.
type made struct{ *bytes.Reader }

func (m made) Range(offset, length int64) (io.Reader, error) {
	return io.NewSectionReader(m.Reader, offset, length), nil
}

func (m made) Close() error { return nil }

// rotatePlayKey answers POST /api/storage/stories/{id}/play-key with the URLs of the new KEY. The old ones open nothing
// from then on.
func (s *server) rotatePlayKey(w http.ResponseWriter, r *http.Request, p httprouter.Params) error {
	req, err := parseStoryRequest(p)
	if err != nil {
		return err
	}
	story, err := s.lib.Story(r.Context(), req.id)
	if err != nil {
		return err
	}
	if err := s.access.RotatePlayKey(req.id); err != nil {
		return err
	}
	s.recent.forget()
	return writeJSON(w, http.StatusOK, s.keyURLs(story))
}

func (s *server) keyURLs(story codestory.Story) codestory.KeyURLs {
	path, ok := playsAs(story)
	if !ok {
		path = codestory.StoryAudioPath(story.ID)
	}
	return codestory.KeyURLs{
		PlayURL: s.playURL(path, story.Owner), FeedURL: s.feedURL(story, feedXML, nil), PlaylistURL: s.feedURL(story, feedM3U8, nil),
	}
}

// library answers GET /api/storage/library: of the caller, or, for a token of scope manage, of ?user=.
func (s *server) library(w http.ResponseWriter, r *http.Request, caller codestory.Token) error {
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	user := caller.User
	if q.Has("user") && q.Get("user") != user {
		if caller.Scope != codestory.ScopeManage {
			return errScope
		}
		user = q.Get("user")
	}
	return s.writeLibrary(w, user)
}

// rotateLibraryKey answers POST /api/storage/library/play-key.
func (s *server) rotateLibraryKey(w http.ResponseWriter, r *http.Request, _ httprouter.Params) error {
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	user := q.Get("user")
	if !utf8.ValidString(user) { // no story has such a one, and it could not be kept
		return badRequest("invalid_parameter", "user has to be UTF-8")
	}
	if err := s.access.RotateLibraryKey(user); err != nil {
		return err
	}
	return s.writeLibrary(w, user)
}

func (s *server) writeLibrary(w http.ResponseWriter, user string) error {
	return writeJSON(w, http.StatusOK, codestory.Library{UserID: user, FeedURL: s.libraryURL(user, "", time.Time{})})
}
