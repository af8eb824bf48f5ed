package feed

import (
	"bytes"
	"encoding/json"
)

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
