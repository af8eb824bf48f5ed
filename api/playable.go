package api

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/feed"
)

// playableStory is what of a story can be played, in its order.
type playableStory struct {
	s      *server
	story  codestory.Story
	tracks []track                           // its chapters, or the whole story if there are none
	whole  *track                            // nil if there are only chapters
	cover  string                            // URL; "" for none
	texts  map[codestory.Path]codestory.File // the transcripts
}

// track is a file that plays.
type track struct {
	file    codestory.File
	number  int // of the chapter; 0 is the whole story
	title   string
	seconds float64 // 0 if it is unknown
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

// newPlayableStory leaves out what cannot be played.
func (s *server) newPlayableStory(story codestory.Story) playableStory {
	p := playableStory{s: s, story: story, texts: map[codestory.Path]codestory.File{}}
	playable := playable(story)
	for _, f := range story.Files {
		if _, ok := playable[f.Path]; !ok {
			continue
		}
		switch name := f.Path.InStory(); {
		case name == "cover.jpg", name == "cover.jpeg", name == "cover.png":
			p.cover = cmp.Or(p.cover, s.playURL(f.Path, story.Owner))
		case strings.HasSuffix(name, transcriptEnding):
			p.texts[f.Path] = f
		}
	}
	for _, c := range story.Chapters {
		if f := playable[c.Path]; sounds(f) {
			p.tracks = append(p.tracks, newTrack(f, c.Number, c.Title, c.DurationSeconds))
		}
	}
	if f, ok := wholeStory(story, playable); ok {
		whole := newTrack(f, 0, p.title(), nil)
		p.whole = &whole
		if len(p.tracks) == 0 {
			p.tracks = []track{whole}
		}
	}
	return p
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

func newTrack(f codestory.File, number int, title string, seconds *float64) track {
	t := track{file: f, number: number, title: title}
	if seconds == nil && f.Audio != nil {
		seconds = f.Audio.DurationSeconds
	}
	if seconds != nil {
		t.seconds = *seconds
	}
	if t.title == "" && f.Audio != nil {
		t.title = f.Audio.Title
	}
	if t.title == "" {
		t.title = fmt.Sprintf("Chapter %d", number)
	}
	return t
}

// title is the story's, or what can stand for it.
func (p playableStory) title() string { return cmp.Or(p.story.Title, "Story "+string(p.story.ID)) }

// podcast is the story as a feed: one episode for each chapter.
func (p playableStory) podcast() feed.Podcast {
	podcast := feed.Podcast{
		Title: p.title(), Description: p.story.Description, Language: p.story.Language,
		Link: p.link(), Self: p.s.feedURL(p.story, feedXML, nil), GUID: strings.ToLower(string(p.story.ID)),
		Image: p.cover, Serial: true, Published: p.story.CreatedAt,
	}
	for _, t := range p.tracks {
		podcast.Episodes = append(podcast.Episodes, p.episode(t))
	}
	return podcast
}

// link is the page of the code that the story tells of, if there is one.
func (p playableStory) link() string {
	if p.story.Source != nil {
		u, err := url.Parse(p.story.Source.Repository)
		if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
			return u.String()
		}
	}
	return p.s.absoluteURL("/", nil)
}

// forLibrary is the story in the feed of many: as one episode, or its chapters if it has no file as a whole.
func (p playableStory) forLibrary() []feed.Episode {
	if p.whole != nil {
		whole := p.episode(*p.whole)
		whole.Number = 0
		return []feed.Episode{whole}
	}
	var list []feed.Episode
	for _, t := range slices.Backward(p.tracks) { // the newest first, as the stories are
		one := p.episode(t)
		one.Title = p.title() + ": " + one.Title
		list = append(list, one)
	}
	return list
}

// episode describes one track. It was published when the story was made, a second later for each chapter before it:
// players sort by that.
func (p playableStory) episode(t track) feed.Episode {
	one := feed.Episode{
		GUID: string(t.file.Path), Title: t.title, Number: t.number, Seconds: t.seconds, Image: p.cover,
		Published: p.story.CreatedAt.Add(time.Duration(max(0, t.number-1)) * time.Second),
		Audio:     feed.Enclosure{URL: p.s.playURL(t.file.Path, p.story.Owner), ContentType: t.file.ContentType, Size: t.file.Size},
	}
	q := url.Values{}
	if t.number > 0 {
		q.Set("chapter", strconv.Itoa(t.number))
	} else {
		one.Description = p.story.Description
	}
	one.Chapters = p.s.feedURL(p.story, feedChapters, q)
	one.Transcript = p.transcript(t)
	return one
}

// feedTracks are the tracks for a playlist.
func (p playableStory) feedTracks() []feed.Track {
	var tracks []feed.Track
	for _, t := range p.tracks {
		entry := feed.Track{Title: t.title, URL: p.s.playURL(t.file.Path, p.story.Owner), Seconds: t.seconds}
		if packed(t.file) {
			entry.Segment = func(seconds float64) string { return p.s.segmentURL(t.file, p.story.Owner, seconds) }
		}
		tracks = append(tracks, entry)
	}
	return tracks
}

// chapters lists where the chapters begin in the whole story, or, with ?chapter=, the one that a chapter's own file is.
// It names those too that are in the whole story's file alone.
func (p playableStory) chapters(q url.Values) (feed.Chapters, error) {
	n, err := intParam(q, "chapter", 0, 0, 1<<31-1)
	if err != nil {
		return feed.Chapters{}, err
	}
	var tracks []feed.Track
	for _, c := range p.story.Chapters {
		t := feed.Track{Title: cmp.Or(c.Title, fmt.Sprintf("Chapter %d", c.Number))}
		if c.DurationSeconds != nil {
			t.Seconds = *c.DurationSeconds
		}
		if n == 0 || int(n) == c.Number {
			tracks = append(tracks, t)
		}
	}
	if n != 0 && len(tracks) == 0 {
		return feed.Chapters{}, missing(fmt.Sprintf("the story has no chapter %d", n))
	}
	return feed.NewChapters(p.title(), tracks), nil
}

// transcriptEnding is that of what is said in a file, as WebVTT. It stands beside the file under the same name; that of
// the whole story may be transcript.vtt in the story's folder.
const transcriptEnding = ".vtt"

// maxTranscript is the largest that is cut into those of the chapters, in bytes.
const maxTranscript = 8 << 20

// transcript is what is said in a track: a chapter that has none of its own has its part of the whole story's.
func (p playableStory) transcript(t track) feed.Transcript {
	f, ok := p.texts[codestory.Path(strings.TrimSuffix(string(t.file.Path), path.Ext(string(t.file.Path)))+transcriptEnding)]
	if !ok && t.number == 0 {
		f, ok = p.wholeTranscript()
	}
	if ok {
		return feed.Transcript{URL: p.s.playURL(f.Path, p.story.Owner), ContentType: "text/vtt", Language: p.story.Language}
	}
	if f, ok = p.wholeTranscript(); !ok || f.Size > maxTranscript {
		return feed.Transcript{}
	}
	if _, _, ok := p.span(t.number); !ok {
		return feed.Transcript{}
	}
	q := url.Values{"chapter": {strconv.Itoa(t.number)}}
	return feed.Transcript{URL: p.s.feedURL(p.story, transcriptEnding, q), ContentType: "text/vtt", Language: p.story.Language}
}

func (p playableStory) wholeTranscript() (codestory.File, bool) {
	for _, name := range []string{"/transcript", "/audio/story"} {
		if f, ok := p.texts[codestory.Path(string(p.story.ID)+name+transcriptEnding)]; ok {
			return f, true
		}
	}
	return codestory.File{}, false
}

// span is where a chapter is in the whole story, in seconds; false if that is unknown.
func (p playableStory) span(number int) (from, to float64, ok bool) {
	for _, c := range p.story.Chapters {
		if c.DurationSeconds == nil || !(*c.DurationSeconds > 0) {
			return 0, 0, false
		}
		to = from + *c.DurationSeconds
		if c.Number == number {
			return from, to, true
		}
		from = to
	}
	return 0, 0, false
}

// chapterTranscript is the part of the whole story's transcript that is ?chapter=.
func (p playableStory) chapterTranscript(ctx context.Context, q url.Values) (string, error) {
	n, err := intParam(q, "chapter", 0, 1, 1<<31-1)
	if err != nil {
		return "", err
	}
	from, to, known := p.span(int(n))
	f, ok := p.wholeTranscript()
	if !known || !ok {
		return "", missing(fmt.Sprintf("the story has no transcript of chapter %d", n))
	}
	text, err := p.s.text(ctx, f.Path)
	if err != nil {
		return "", err
	}
	return feed.CutTranscript(text, from, to), nil
}

// text is what is in a small file.
func (s *server) text(ctx context.Context, path codestory.Path) (string, error) {
	content, err := s.lib.Open(ctx, path)
	if err != nil {
		return "", err
	}
	defer content.Close()
	if content.Size == 0 || content.Size > maxTranscript {
		return "", fmt.Errorf("%s has %d bytes: %w", path, content.Size, codestory.ErrNotFound)
	}
	r, err := content.Range(0, content.Size)
	if err != nil {
		return "", err
	}
	b := make([]byte, content.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	return string(b), nil
}
