package api

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/feed"
)

// show is a story as players are told of it: what of it can be played, in its order.
type show struct {
	s      *server
	story  codestory.Story
	pieces []piece                           // its chapters, or the whole story where there are none
	whole  *piece                            // nil where it is in chapters only
	cover  string                            // URL; "" for none
	texts  map[codestory.Path]codestory.File // the transcripts
}

// piece is a file that plays.
type piece struct {
	file    codestory.File
	number  int // of the chapter; 0 is the whole story
	title   string
	seconds float64 // 0 where it is not known
}

// playable are the story's files without those that are neither here nor in the store, and those that are still being
// written and were never stored: a podcast app would keep the half of them for ever.
func playable(story codestory.Story) map[codestory.Path]codestory.File {
	files := map[codestory.Path]codestory.File{}
	for _, f := range story.Files {
		if f.State != codestory.Missing && (f.State != codestory.Settling || f.ETag != nil) {
			files[f.Path] = f
		}
	}
	return files
}

// newShow leaves out what cannot be played.
func (s *server) newShow(story codestory.Story) show {
	v := show{s: s, story: story, texts: map[codestory.Path]codestory.File{}}
	playable := playable(story)
	for _, f := range story.Files {
		if _, ok := playable[f.Path]; !ok {
			continue
		}
		switch name := f.Path.InStory(); {
		case name == "cover.jpg", name == "cover.jpeg", name == "cover.png":
			v.cover = cmp.Or(v.cover, s.playURL(f.Path, story.Owner))
		case strings.HasSuffix(name, transcriptEnding):
			v.texts[f.Path] = f
		}
	}
	for _, c := range story.Chapters {
		if f := playable[c.Path]; sounds(f) {
			v.pieces = append(v.pieces, newPart(f, c.Number, c.Title, c.DurationSeconds))
		}
	}
	if f, ok := wholeStory(story, playable); ok {
		whole := newPart(f, 0, v.title(), nil)
		v.whole = &whole
		if len(v.pieces) == 0 {
			v.pieces = []piece{whole}
		}
	}
	return v
}

// sounds reports whether the file may hold something that plays. An empty one would be an episode that no player gets
// past. What was found to be no audio stays in: it is said elsewhere, and another player may know better.
func sounds(f codestory.File) bool { return f.Size > 0 }

// wholeStory is story.mp3, or the first sound beside its place.
func wholeStory(story codestory.Story, playable map[codestory.Path]codestory.File) (codestory.File, bool) {
	if f := playable[codestory.StoryAudioPath(story.ID)]; sounds(f) {
		return f, true
	}
	for _, f := range story.Files {
		_, ok := playable[f.Path]
		if ok && sounds(f) && strings.HasPrefix(f.Path.InStory(), "audio/") && strings.HasPrefix(f.ContentType, "audio/") {
			return f, true
		}
	}
	return codestory.File{}, false
}

func newPart(f codestory.File, number int, title string, seconds *float64) piece {
	p := piece{file: f, number: number, title: title}
	if seconds == nil && f.Audio != nil {
		seconds = f.Audio.DurationSeconds
	}
	if seconds != nil {
		p.seconds = *seconds
	}
	if p.title == "" && f.Audio != nil {
		p.title = f.Audio.Title
	}
	if p.title == "" {
		p.title = fmt.Sprintf("Chapter %d", number)
	}
	return p
}

// title is the story's, or what can stand for it.
func (v show) title() string { return cmp.Or(v.story.Title, "Story "+string(v.story.ID)) }

// podcast is the story as a feed: one episode for each chapter.
func (v show) podcast() feed.Podcast {
	p := feed.Podcast{
		Title: v.title(), Description: v.story.Description, Language: v.story.Language,
		Link: v.link(), Self: v.s.feedURL(v.story, feedXML, nil), GUID: strings.ToLower(string(v.story.ID)),
		Image: v.cover, Serial: true, Published: v.story.CreatedAt,
	}
	for _, piece := range v.pieces {
		p.Episodes = append(p.Episodes, v.episode(piece))
	}
	return p
}

// link is the page of the code that the story tells of, where there is one.
func (v show) link() string {
	if v.story.Source != nil {
		u, err := url.Parse(v.story.Source.Repository)
		if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
			return u.String()
		}
	}
	return v.s.absoluteURL("/", nil)
}

// inLibrary is the story in the feed of many: as one episode, or its chapters where there is no file of it whole.
func (v show) inLibrary() []feed.Episode {
	if v.whole != nil {
		whole := v.episode(*v.whole)
		whole.Number = 0
		return []feed.Episode{whole}
	}
	var episodes []feed.Episode
	for _, p := range slices.Backward(v.pieces) { // the newest first, as the stories are
		e := v.episode(p)
		e.Title = v.title() + ": " + e.Title
		episodes = append(episodes, e)
	}
	return episodes
}

// episode describes one piece. It was published when the story was made, a second later for each chapter before it:
// players sort by that.
func (v show) episode(p piece) feed.Episode {
	e := feed.Episode{
		GUID: string(p.file.Path), Title: p.title, Number: p.number, Seconds: p.seconds, Image: v.cover,
		Published: v.story.CreatedAt.Add(time.Duration(max(0, p.number-1)) * time.Second),
		Audio:     feed.Enclosure{URL: v.s.playURL(p.file.Path, v.story.Owner), ContentType: p.file.ContentType, Size: p.file.Size},
	}
	q := url.Values{}
	if p.number > 0 {
		q.Set("chapter", strconv.Itoa(p.number))
	} else {
		e.Description = v.story.Description
	}
	e.Chapters = v.s.feedURL(v.story, feedChapters, q)
	e.Transcript = v.transcript(p)
	return e
}

// tracks are the pieces for a playlist.
func (v show) tracks() []feed.Track {
	var tracks []feed.Track
	for _, p := range v.pieces {
		t := feed.Track{Title: p.title, URL: v.s.playURL(p.file.Path, v.story.Owner), Seconds: p.seconds}
		if packed(p.file) {
			t.Stamped = func(seconds float64) string { return v.s.stampedURL(p.file, v.story.Owner, seconds) }
		}
		tracks = append(tracks, t)
	}
	return tracks
}

// chapters lists where the chapters begin in the whole story, or, with ?chapter=, the one that a chapter's own file is.
// It names those too that are in the whole story's file alone.
func (v show) chapters(q url.Values) (feed.Chapters, error) {
	n, err := intParam(q, "chapter", 0, 0, 1<<31-1)
	if err != nil {
		return feed.Chapters{}, err
	}
	var tracks []feed.Track
	for _, c := range v.story.Chapters {
		t := feed.Track{Title: cmp.Or(c.Title, fmt.Sprintf("Chapter %d", c.Number))}
		if c.DurationSeconds != nil {
			t.Seconds = *c.DurationSeconds
		}
		if n == 0 || int(n) == c.Number {
			tracks = append(tracks, t)
		}
	}
	if n != 0 && len(tracks) == 0 {
		return feed.Chapters{}, errNotFound
	}
	return feed.NewChapters(v.title(), tracks), nil
}
