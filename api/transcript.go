package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/feed"
)

// transcriptEnding is that of what is said in a file, as WebVTT. It stands beside the file under the same name; that of
// the whole story may be transcript.vtt in the story's folder.
const transcriptEnding = ".vtt"

// maxTranscript is the largest that is cut into those of the chapters, in bytes.
const maxTranscript = 8 << 20

// transcript is what is said in a piece: a chapter that has none of its own has its part of the whole story's.
func (v show) transcript(p piece) feed.Transcript {
	f, ok := v.texts[codestory.Path(strings.TrimSuffix(string(p.file.Path), path.Ext(string(p.file.Path)))+transcriptEnding)]
	if !ok && p.number == 0 {
		f, ok = v.wholeTranscript()
	}
	if ok {
		return feed.Transcript{URL: v.s.playURL(f.Path, v.story.Owner), ContentType: "text/vtt", Language: v.story.Language}
	}
	if f, ok = v.wholeTranscript(); !ok || f.Size > maxTranscript {
		return feed.Transcript{}
	}
	if _, _, ok := v.span(p.number); !ok {
		return feed.Transcript{}
	}
	q := url.Values{"chapter": {strconv.Itoa(p.number)}}
	return feed.Transcript{URL: v.s.feedURL(v.story, transcriptEnding, q), ContentType: "text/vtt", Language: v.story.Language}
}

func (v show) wholeTranscript() (codestory.File, bool) {
	for _, name := range []string{"/transcript", "/audio/story"} {
		if f, ok := v.texts[codestory.Path(string(v.story.ID)+name+transcriptEnding)]; ok {
			return f, true
		}
	}
	return codestory.File{}, false
}

// span is where a chapter is in the whole story, in seconds; false where that is not known.
func (v show) span(number int) (from, to float64, ok bool) {
	for _, c := range v.story.Chapters {
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

// serveTranscript answers with a chapter's part of the whole story's transcript.
func (v show) serveTranscript(w http.ResponseWriter, r *http.Request, q url.Values) error {
	n, err := intParam(q, "chapter", 0, 1, 1<<31-1)
	if err != nil {
		return err
	}
	from, to, known := v.span(int(n))
	f, ok := v.wholeTranscript()
	if !known || !ok {
		return errNotFound
	}
	text, err := v.s.text(r.Context(), f.Path)
	if err != nil {
		return err
	}
	return writeFeed(w, r, feed.TranscriptType, []byte(feed.CutTranscript(text, from, to)))
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
