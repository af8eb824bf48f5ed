package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/feed"
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

// playableStory is the story that the request asks for, after its KEY was held against the owner of that very story.
func (s *server) playableStory(r *request) (playableStory, error) {
	story, err := s.wholeStoryOf(r.Context(), r.story)
	if err != nil {
		return playableStory{}, err
	}
	if err := s.opens(r.story, story.Owner, r.URL.Query().Get("k")); err != nil { // since it was looked up
		return playableStory{}, err
	}
	return s.newPlayableStory(story), nil
}

// podcast answers GET and HEAD /feed/{id}.xml.
func (s *server) podcast(w http.ResponseWriter, r *request) error {
	e, err := s.playableStory(r)
	if err != nil {
		return err
	}
	return s.writePodcast(w, r.Request, e.podcast())
}

// playlist answers GET and HEAD /feed/{id}.m3u8.
func (s *server) playlist(w http.ResponseWriter, r *request) error {
	e, err := s.playableStory(r)
	if err != nil {
		return err
	}
	return writeFeed(w, r.Request, feed.PlaylistType, feed.Playlist(e.title(), e.feedTracks()))
}

// chapters answers GET and HEAD /feed/{id}.chapters.json.
func (s *server) chapters(w http.ResponseWriter, r *request) error {
	e, err := s.playableStory(r)
	if err != nil {
		return err
	}
	chapters, err := e.chapters(r.URL.Query())
	if err != nil {
		return err
	}
	return writeFeed(w, r.Request, feed.ChaptersType, chapters.JSON())
}

// transcript answers GET and HEAD /feed/{id}.vtt.
func (s *server) transcript(w http.ResponseWriter, r *request) error {
	e, err := s.playableStory(r)
	if err != nil {
		return err
	}
	text, err := e.chapterTranscript(r.Context(), r.URL.Query())
	if err != nil {
		return err
	}
	return writeFeed(w, r.Request, feed.TranscriptType, []byte(text))
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

// libraryFeed answers GET and HEAD /feed/library.xml with the stories of one user, the newest first, an episode for each.
func (s *server) libraryFeed(w http.ResponseWriter, r *request) error {
	q := r.URL.Query()
	var oldest time.Time // of what is in the feed, or before it
	if q.Has("before") {
		var err error
		if oldest, err = time.Parse(time.RFC3339, q.Get("before")); err != nil {
			return badRequest("invalid_parameter", "before has to be a time as RFC 3339 has it")
		}
	}
	user, cursor := r.user, q.Get("cursor")
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
		e := s.newPlayableStory(l.Story)
		episodes := e.forLibrary()
		oldest = feed.Before(oldest, episodes)
		podcast.Episodes = append(podcast.Episodes, episodes...)
		podcast.Image = cmp.Or(podcast.Image, e.cover) // of the newest that has one
		stories++
		if l.next != nil && (stories == maxLibrary || len(podcast.Episodes) >= maxLibraryEpisodes) {
			podcast.Next = s.libraryURL(user, *l.next, oldest)
			break
		}
	}
	return s.writePodcast(w, r.Request, podcast)
}

func (s *server) writePodcast(w http.ResponseWriter, r *http.Request, p feed.Podcast) error {
	var body bytes.Buffer
	if err := s.make(r.Context(), func() error { return p.Write(&body) }); err != nil {
		return err
	}
	return writeFeed(w, r, feed.ContentType, body.Bytes())
}

// writeFeed answers with a body that was made for this request, or that it is the one that the client has. Players ask
// often: the answer lets them keep it if they ask whether it still holds. They go by its tag alone: what a feed says changes
// with what is found out of its files, and no date of theirs tells when that was.
func writeFeed(w http.ResponseWriter, r *http.Request, contentType string, body []byte) error {
	sum := sha256.Sum256(body)
	return serveContent(w, r, &codestory.Content{
		Body: made{bytes.NewReader(body)}, Size: int64(len(body)),
		ETag: base64.RawURLEncoding.EncodeToString(sum[:16]),
	}, contentType, "private, no-cache")
}

// made is a body in memory.
type made struct{ *bytes.Reader }

func (m made) Range(offset, length int64) (io.Reader, error) {
	return io.NewSectionReader(m.Reader, offset, length), nil
}

func (m made) Close() error { return nil }

// rotatePlayKey answers POST /api/storage/stories/{id}/play-key with the URLs of the new KEY. The old ones open nothing
// from then on.
func (s *server) rotatePlayKey(w http.ResponseWriter, r *request) error {
	story, err := s.lib.Story(r.Context(), r.story)
	if err != nil {
		return err
	}
	if err := s.access.RotatePlayKey(r.story); err != nil {
		return err
	}
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
func (s *server) library(w http.ResponseWriter, r *request) error {
	q, err := parseQuery(r.Request)
	if err != nil {
		return err
	}
	user := r.caller.User
	if q.Has("user") && q.Get("user") != user {
		if r.caller.Scope != codestory.ScopeManage {
			return errScope
		}
		user = q.Get("user")
	}
	return s.writeLibrary(w, user)
}

// rotateLibraryKey answers POST /api/storage/library/play-key.
func (s *server) rotateLibraryKey(w http.ResponseWriter, r *request) error {
	q, err := parseQuery(r.Request)
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

// A playlist names files as segments of one stream. A segment begins with a tag that says at which time of the stream it
// does, and holds no other tags: in the middle of a stream they are errors to decoders. So its bytes are not quite the
// file's, and come through the daemon, wherever the file is.

// packed reports whether the file is of the kind that takes a timestamp (RFC 8216, section 3.4), whatever its name says: MPEG
// audio, or AAC in ADTS. Before it was read its name tells. A timestamp and a cut would only harm another.
func packed(f codestory.File) bool {
	return f.ContentType == "audio/aac" || f.ContentType == "audio/mpeg" && (f.Audio == nil || f.Audio.SoundSize > 0)
}

// segmentURL is the player URL of the file as a segment that begins at that time.
func (s *server) segmentURL(f codestory.File, owner codestory.Owner, seconds float64) string {
	q := url.Values{"k": {s.access.PlayKey(f.Path.Story(), owner)}, "at": {strconv.FormatInt(int64(math.Round(seconds*1000)), 10)}}
	if a := f.Audio; a != nil && a.SoundSize > 0 && a.SoundOffset+a.SoundSize <= f.Size {
		q.Set("from", strconv.FormatInt(a.SoundOffset, 10))
		q.Set("bytes", strconv.FormatInt(a.SoundSize, 10))
	}
	return s.publicURL(f.Path, q)
}

// openSegment opens files as the segment that the query asks for: at= in milliseconds, from= and bytes= of the file. What is
// not in the file, since it was replaced, is left out. Its error is a *Problem.
func (s *server) openSegment(q url.Values) (opener, error) {
	at, err := intParam(q, "at", 0, 0, 1<<50)
	if err != nil {
		return nil, err
	}
	from, err := intParam(q, "from", 0, 0, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	length, err := intParam(q, "bytes", math.MaxInt64, 1, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	timestamp := feed.Timestamp(float64(at) / 1000)
	return func(ctx context.Context, path codestory.Path) (*codestory.Content, error) {
		content, err := s.lib.Open(ctx, path)
		if err != nil {
			return nil, err
		}
		cut := &segment{content.Body, timestamp, min(int64(from), content.Size)}
		content.Size = int64(len(timestamp)) + min(int64(length), content.Size-cut.from)
		content.Body = cut
		if content.ETag != "" {
			content.ETag += fmt.Sprintf("-%d-%d-%d", at, from, length)
		}
		return content, nil
	}, nil
}

// segment is a timestamp and, behind it, what is in a body from there on.
type segment struct {
	codestory.Body
	timestamp []byte
	from      int64
}

func (b *segment) Range(offset, length int64) (io.Reader, error) {
	size := int64(len(b.timestamp))
	if offset >= size {
		return b.Body.Range(b.from+offset-size, length)
	}
	timestamp := bytes.NewReader(b.timestamp[offset:min(size, offset+length)])
	if offset+length <= size {
		return timestamp, nil
	}
	rest, err := b.Body.Range(b.from, offset+length-size)
	if err != nil {
		return nil, err
	}
	return io.MultiReader(timestamp, rest), nil
}
