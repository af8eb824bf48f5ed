// Package feed writes what players subscribe to and open: podcasts, playlists and lists of chapters. It is given all that
// stands in them, and must not know HTTP, stories or where files are.
//
// A podcast has the elements of RSS 2.0 (https://www.rssboard.org/rss-specification), of Apple
// (https://podcasters.apple.com/support/823) and of Podcasting 2.0 (https://podcasting2.org/docs/podcast-namespace).
package feed

import (
	"encoding/xml"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// ContentType is that of a podcast.
const ContentType = "application/rss+xml; charset=utf-8"

// Podcast is a feed. Its URLs are whole ones.
type Podcast struct {
	Title       string
	Description string    // "" is the title again
	Language    string    // as RFC 5646 has it; one that is not well-formed is taken for English
	Link        string    // the page that it is about
	Self        string    // its own URL
	Next        string    // the URL of the feed with the older episodes (RFC 5005); "" if there are none
	GUID        string    // a UUID that stays when the URL changes; "" for none
	Image       string    // "" for none
	Serial      bool      // the episodes belong in their order, the first first
	Published   time.Time // zero for none
	Episodes    []Episode
}

// Episode is one entry of a Podcast.
type Episode struct {
	GUID        string // stays when the URL changes
	Title       string
	Description string // "" is the title again
	Published   time.Time
	Number      int     // from 1; 0 for none
	Seconds     float64 // it plays; 0 if that is unknown
	Audio       Enclosure
	Image       string // "" for none
	Chapters    string // the URL of its Chapters; "" for none
	Transcript  Transcript
}

// Enclosure is the file that an episode plays.
type Enclosure struct {
	URL         string
	ContentType string
	Size        int64 // bytes
}

// Transcript is what an episode says, in text. Its URL is "" if there is none.
type Transcript struct{ URL, ContentType, Language string }

// What a private feed says if there is nothing else to say.
const (
	author    = "Code Story"
	category  = "Technology" // of Apple's list
	generator = "codestoryd"
)

type rss struct {
	XMLName xml.Name `xml:"rss"`
	Version string   `xml:"version,attr"`
	Atom    string   `xml:"xmlns:atom,attr"`
	Apple   string   `xml:"xmlns:itunes,attr"`
	Podcast string   `xml:"xmlns:podcast,attr"`
	Channel channel  `xml:"channel"`
}

type channel struct {
	Title       string    `xml:"title"`
	Link        string    `xml:"link"`
	Description string    `xml:"description"`
	Language    string    `xml:"language"`
	Published   string    `xml:"pubDate,omitempty"`
	Category    string    `xml:"category"`
	Generator   string    `xml:"generator"`
	Picture     *rssImage `xml:"image"`

	Links    []atomLink    `xml:"atom:link"`
	Author   string        `xml:"itunes:author"`
	Type     string        `xml:"itunes:type"`
	Image    *appleImage   `xml:"itunes:image"`
	Subject  appleCategory `xml:"itunes:category"`
	Explicit bool          `xml:"itunes:explicit"`
	Block    string        `xml:"itunes:block"` // keeps a feed whose URL is a secret out of directories
	GUID     string        `xml:"podcast:guid,omitempty"`
	Locked   string        `xml:"podcast:locked"` // to other hosts, for the same reason
	Items    []item        `xml:"item"`
}

type rssImage struct {
	URL   string `xml:"url"`
	Title string `xml:"title"`
	Link  string `xml:"link"`
}

type item struct {
	Title       string    `xml:"title"`
	Link        string    `xml:"link"`
	Description string    `xml:"description"`
	Enclosure   enclosure `xml:"enclosure"`
	GUID        guid      `xml:"guid"`
	Published   string    `xml:"pubDate,omitempty"`

	Duration   int64        `xml:"itunes:duration,omitempty"` // seconds
	Number     int          `xml:"itunes:episode,omitempty"`
	Image      *appleImage  `xml:"itunes:image"`
	Explicit   bool         `xml:"itunes:explicit"`
	Chapters   *chaptersRef `xml:"podcast:chapters"`
	Transcript *textRef     `xml:"podcast:transcript"`
}

type enclosure struct {
	URL    string `xml:"url,attr"`
	Length int64  `xml:"length,attr"`
	Type   string `xml:"type,attr"`
}

type guid struct {
	ID    string `xml:",chardata"`
	IsURL bool   `xml:"isPermaLink,attr"`
}

type atomLink struct {
	Href string `xml:"href,attr"`
	Rel  string `xml:"rel,attr"`
	Type string `xml:"type,attr"`
}

type appleImage struct {
	Href string `xml:"href,attr"`
}

type appleCategory struct {
	Text string `xml:"text,attr"`
}

type chaptersRef struct {
	URL  string `xml:"url,attr"`
	Type string `xml:"type,attr"`
}

type textRef struct {
	URL      string `xml:"url,attr"`
	Type     string `xml:"type,attr"`
	Language string `xml:"language,attr,omitempty"`
}

// Write writes the feed as XML, the same each time.
func (p Podcast) Write(w io.Writer) error {
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	return e.Encode(p.rss())
}

func (p Podcast) rss() rss {
	c := channel{
		Title: line(p.Title), Link: p.Link, Description: paragraphs(p.Description),
		Language: language(p.Language), Category: category, Generator: generator,
		Published: date(p.Published),
		Links:     []atomLink{{p.Self, "self", "application/rss+xml"}},
		Author:    author, Type: "episodic", Image: image(p.Image), Subject: appleCategory{category},
		Block: "Yes", GUID: p.GUID, Locked: "yes",
	}
	if p.Next != "" {
		c.Links = append(c.Links, atomLink{p.Next, "next", "application/rss+xml"})
	}
	if p.Serial {
		c.Type = "serial"
	}
	if c.Description == "" {
		c.Description = c.Title
	}
	if p.Image != "" {
		c.Picture = &rssImage{p.Image, c.Title, p.Link}
	}
	for _, e := range p.Episodes {
		c.Items = append(c.Items, e.item())
	}
	return rss{
		Version: "2.0", Channel: c,
		Atom:    "http://www.w3.org/2005/Atom",
		Apple:   "http://www.itunes.com/dtds/podcast-1.0.dtd",
		Podcast: "https://podcastindex.org/namespace/1.0",
	}
}

func (e Episode) item() item {
	i := item{
		Title: line(e.Title), Link: e.Audio.URL, Description: paragraphs(e.Description),
		Enclosure: enclosure{e.Audio.URL, e.Audio.Size, e.Audio.ContentType},
		GUID:      guid{ID: e.GUID}, Published: date(e.Published),
		Duration: wholeSeconds(e.Seconds), Number: e.Number, Image: image(e.Image),
	}
	if i.Description == "" {
		i.Description = i.Title
	}
	if e.Chapters != "" {
		i.Chapters = &chaptersRef{e.Chapters, ChaptersType}
	}
	if t := e.Transcript; t.URL != "" {
		i.Transcript = &textRef{t.URL, t.ContentType, language(t.Language)}
	}
	return i
}

func image(url string) *appleImage {
	if url == "" {
		return nil
	}
	return &appleImage{url}
}

// date is a time as RFC 822 and its successors have it, which RSS asks for.
func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC1123Z)
}

// wholeSeconds never makes something that plays last 0 seconds, which would say that it is not known.
func wholeSeconds(s float64) int64 {
	if !known(s) {
		return 0
	}
	return max(1, int64(math.Round(s)))
}

// known reports whether s can be how long something plays. What a file says of itself may be anything.
func known(s float64) bool { return s > 0 && s < 1e9 }

var wellFormed = regexp.MustCompile(`^[a-z]{2,8}(-[a-z0-9]{1,8})*$`)

// language is a tag as RSS has it, "de-de", also of a locale such as de_DE.UTF-8.
func language(tag string) string {
	if i := strings.IndexAny(tag, ".@"); i >= 0 {
		tag = tag[:i]
	}
	tag = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(tag), "_", "-"))
	if !wellFormed.MatchString(tag) {
		return "en"
	}
	return tag
}

// line makes one line of a text, without what XML and playlists cannot hold.
func line(s string) string {
	return strings.Join(strings.Fields(printable(s, func(rune) rune { return ' ' })), " ")
}

// paragraphs is line for a text that keeps its line breaks.
func paragraphs(s string) string {
	return strings.TrimSpace(printable(strings.ReplaceAll(s, "\r\n", "\n"), func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return ' '
	}))
}

// printable replaces control characters, and leaves out bytes that are no text and what is no character (Unicode,
// section 23.7): XML 1.0 forbids both.
func printable(s string, control func(rune) rune) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return control(r)
		case r == unicode.ReplacementChar, r&0xfffe == 0xfffe, 0xfdd0 <= r && r <= 0xfdef:
			return -1
		default:
			return r
		}
	}, s)
}

// Before moves the episodes of one story, without changing what is between them, so that all are older than that time if there is
// one, and returns when the oldest is. Where the stories of a podcast are published one before another, the newest first, the
// episodes of each stay together however a player sorts them by date. A date counts whole seconds.
func Before(newer time.Time, episodes []Episode) (oldest time.Time) {
	if len(episodes) == 0 {
		return newer
	}
	byDate := func(a, b Episode) int { return a.Published.Compare(b.Published) }
	newest := slices.MaxFunc(episodes, byDate).Published.Truncate(time.Second)
	if !newer.IsZero() && !newest.Before(newer) {
		for i := range episodes {
			episodes[i].Published = episodes[i].Published.Add(newer.Add(-time.Second).Sub(newest))
		}
	}
	return slices.MinFunc(episodes, byDate).Published.Truncate(time.Second)
}
