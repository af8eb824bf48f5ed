package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/feed"
)

// A piece of a stream is a stamp and a part of the file, wherever that is, and answers as a file does.
func TestStampedPiece(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []codestory.StoryID{aliceStory, farStory} {
		path := codestory.StoryAudioPath(id)
		data := string(w.lib.files[path].data)
		url := w.playURL(path) + "&at=61500&from=7&bytes=100"
		whole := string(feed.Timestamp(61.5)) + data[7:107]
		resp := w.request("GET", url, "")
		wantStatus(t, resp, 200)
		if got := body(t, resp); got != whole || resp.Header.Get("Content-Type") != "audio/mpeg" {
			t.Errorf("%q of %s, want %q", got, resp.Header.Get("Content-Type"), whole)
		}
		if head := w.request("HEAD", url, ""); head.StatusCode != 200 || head.ContentLength != int64(len(whole)) {
			t.Errorf("HEAD: %s, %d bytes", head.Status, head.ContentLength)
		}
		for _, r := range [][2]int{{0, 3}, {5, 90}, {72, 73}, {73, 80}, {90, len(whole) - 1}} {
			resp := w.request("GET", url, "", "Range", fmt.Sprintf("bytes=%d-%d", r[0], r[1]), "If-Range", resp.Header.Get("ETag"))
			wantStatus(t, resp, 206)
			if got := body(t, resp); got != whole[r[0]:r[1]+1] {
				t.Errorf("bytes %d to %d: %q, want %q", r[0], r[1], got, whole[r[0]:r[1]+1])
			}
		}
		// What the file has not is left out.
		resp = w.request("GET", w.playURL(path)+"&at=0&from=7", "")
		if got := body(t, resp); got != string(feed.Timestamp(0))+data[7:] {
			t.Errorf("from 7 on: %q", got)
		}
		resp = w.request("GET", w.playURL(path)+"&at=0&from=999999&bytes=9223372036854775807", "")
		if got := body(t, resp); got != string(feed.Timestamp(0)) {
			t.Errorf("past the end: %q", got)
		}
		for _, bad := range []string{"&at=", "&at=-1", "&at=x", "&at=0&from=-1", "&at=0&bytes=0"} {
			wantProblem(t, w.request("GET", w.playURL(path)+bad, ""), 400, "invalid_parameter")
		}
		wantProblem(t, w.request("GET", "/play/"+string(path)+"?k=x&at=0", ""), 403, "link_invalid")
	}
}

// No piece is cut out of what is no MPEG audio, and no stamp is put before it: a playlist has the file as it is.
func TestPlaylistLeavesOtherFormatsWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addStory(newStory, map[string]file{
		"chapters/chapter_01.mp3": {data: []byte("MPEG audio"), local: true}, "chapters/chapter_02.mp3": {data: []byte("RIFF"), local: true},
		"chapters/chapter_03.mp3": {data: []byte("not read yet"), local: true},
	}, "One", "Two", "Three")
	w.lib.change(func() {
		for i, f := range w.lib.stories[newStory].Files {
			switch f.Path.Chapter() {
			case 1:
				w.lib.stories[newStory].Files[i].Audio = &codestory.Audio{SoundOffset: 2, SoundSize: 5}
			case 2:
				w.lib.stories[newStory].Files[i].Audio = &codestory.Audio{Faults: []codestory.AudioFault{{Code: codestory.OtherFormat}}}
			}
		}
	})
	var got []string
	for l := range strings.Lines(body(t, w.request("GET", w.feedURL(newStory, ".m3u8"), ""))) {
		if strings.HasPrefix(l, "http") {
			got = append(got, body(t, w.request("GET", strings.TrimSpace(l), "")))
		}
	}
	want := []string{string(feed.Timestamp(0)) + "EG au", "RIFF", string(feed.Timestamp(180)) + "not read yet"}
	if !slices.Equal(got, want) {
		t.Errorf("pieces: got %q, want %q", got, want)
	}
}
