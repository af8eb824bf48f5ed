package feed

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// PlaylistType is the content type of a playlist.
const PlaylistType = "application/vnd.apple.mpegurl"

// Track is one entry of a playlist.
type Track struct {
	Title   string
	URL     string
	Seconds float64 // it plays; 0 if that is unknown
	// Segment is the URL of its sound behind a Timestamp of that time, for HLS; nil for a file that takes none: its URL stands there.
	Segment func(seconds float64) string
}

// Playlist writes tracks in their order. Where it is known how long each plays it is an HLS media playlist (RFC 8216),
// which plays as one piece, with titles that players of M3U show; else it is an M3U alone, since HLS cannot do without.
func Playlist(title string, tracks []Track) []byte {
	longest, hls := 0.0, len(tracks) > 0
	for _, t := range tracks {
		longest, hls = max(longest, t.Seconds), hls && known(t.Seconds)
	}
	var b strings.Builder
	b.WriteString("#EXTM3U\n")
	if hls {
		fmt.Fprintf(&b, "#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n",
			int64(math.Ceil(longest)))
	}
	fmt.Fprintf(&b, "#PLAYLIST:%s\n", line(title))
	at := 0.0
	for _, t := range tracks {
		seconds, url := "-1", t.URL
		if known(t.Seconds) {
			seconds = fmt.Sprintf("%.3f", t.Seconds)
		}
		if hls && t.Segment != nil {
			url = t.Segment(at)
		}
		at += t.Seconds
		fmt.Fprintf(&b, "#EXTINF:%s,%s\n%s\n", seconds, line(t.Title), url)
	}
	if hls {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return []byte(b.String())
}

// Timestamp is the ID3 tag that a piece of an HLS stream of MPEG audio begins with: it says at which time of the whole the
// piece begins (RFC 8216, section 3.4). Without it players that seek take the piece for the beginning.
func Timestamp(seconds float64) []byte {
	const ticks, wraps = 90_000, 1<<33 - 1
	private := append([]byte("com.apple.streaming.transportStreamTimestamp\x00"),
		binary.BigEndian.AppendUint64(nil, uint64(math.Round(seconds*ticks))&wraps)...)
	frame := append([]byte("PRIV\x00\x00\x00"), byte(len(private)), 0, 0) // sizes below 128 are one byte of four
	frame = append(frame, private...)
	return append([]byte("ID3\x04\x00\x00\x00\x00\x00"), append([]byte{byte(len(frame))}, frame...)...)
}

// ChaptersType is the content type of Chapters.
const ChaptersType = "application/json+chapters"

// Chapters is the JSON Chapters format of Podcasting 2.0, version 1.2.
type Chapters struct {
	Version  string    `json:"version"`
	Title    string    `json:"title,omitempty"`
	Chapters []Chapter `json:"chapters"`
}

// Chapter is one of Chapters. Times are in seconds.
type Chapter struct {
	StartTime float64  `json:"startTime"`
	EndTime   *float64 `json:"endTime,omitempty"`
	Title     string   `json:"title"`
}

// NewChapters lists tracks that are played one after another. The list ends before the first whose beginning is not
// known.
func NewChapters(title string, tracks []Track) Chapters {
	list := Chapters{Version: "1.2.0", Title: line(title), Chapters: []Chapter{}}
	at := 0.0
	for _, t := range tracks {
		c := Chapter{StartTime: milliseconds(at), Title: line(t.Title)}
		if !known(t.Seconds) {
			list.Chapters = append(list.Chapters, c)
			break
		}
		at += t.Seconds
		end := milliseconds(at)
		c.EndTime = &end
		list.Chapters = append(list.Chapters, c)
	}
	return list
}

// milliseconds rounds a time, so that sums of thirds stay readable.
func milliseconds(s float64) float64 { return float64(int64(s*1000+0.5)) / 1000 }

// JSON is the list as it is served.
func (c Chapters) JSON() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(c); err != nil {
		panic(err) // our own shape always encodes: its numbers are finite
	}
	return b.Bytes()
}
