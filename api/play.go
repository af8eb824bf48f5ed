package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
	"unicode"

	"github.com/codestory/codestoryd"
)

// playLifetime is how long the link lasts that a player URL redirects to. A player that needs longer asks the player
// URL again.
const playLifetime = time.Hour

// play answers GET and HEAD /play/{id}/{path}.
func (s *server) play(w http.ResponseWriter, r *request) error {
	const cacheControl = "private, no-cache"
	if r.link != nil {
		if r.link.download {
			w.Header().Set("Content-Disposition", s.attachment(r.Context(), r.file))
		}
		return serveFile(s.lib.Open, w, r.Request, r.file, cacheControl)
	}
	q := r.URL.Query()
	if q.Has("at") {
		segment, err := s.openSegment(q)
		if err != nil {
			return err
		}
		return serveFile(segment, w, r.Request, r.file, cacheControl)
	}
	proxy, err := flagParam(q, "proxy")
	switch {
	case err != nil:
		return err
	case proxy:
		return serveFile(s.lib.Open, w, r.Request, r.file, cacheControl)
	case r.Method == http.MethodHead:
		return s.head(w, r.Request, r.file, cacheControl)
	}
	return s.playAnywhere(w, r, cacheControl)
}

// playAnywhere answers with the bytes of a local file, else with a redirect to a link that is made now, or with the
// store's bytes if it makes no links.
func (s *server) playAnywhere(w http.ResponseWriter, r *request, cacheControl string) error {
	err := serveFile(s.lib.OpenHere, w, r.Request, r.file, cacheControl)
	if !errors.Is(err, codestory.ErrNotFound) {
		return err
	}
	loc, err := s.lib.Locate(r.Context(), r.file)
	if err != nil {
		return err
	}
	if loc.Stored {
		link, _, err := s.lib.Presign(r.Context(), r.file, codestory.LinkRequest{Method: http.MethodGet, Expires: playLifetime})
		if err == nil {
			redirect(w, link, "private, no-store")
			return nil
		}
		if !errors.Is(err, codestory.ErrNoLinks) {
			return err
		}
	}
	return serveFile(s.lib.Open, w, r.Request, r.file, cacheControl)
}

const (
	defaultExpires = 3600      // seconds that a link is good for
	maxExpires     = 7 * 86400 // the longest that S3 signs
)

// linkRequest is which link a client asks for.
type linkRequest struct {
	path     codestory.Path
	lifetime time.Duration
	download bool
	proxy    bool // the bytes from the daemon instead of a link to them
}

func (s *server) parseLinkRequest(r *request) (linkRequest, error) {
	q, err := parseQuery(r.Request)
	if err != nil {
		return linkRequest{}, err
	}
	seconds, err := intParam(q, "expires_in", defaultExpires, 1, maxExpires)
	if err != nil {
		return linkRequest{}, err
	}
	download, err := flagParam(q, "download")
	if err != nil {
		return linkRequest{}, err
	}
	proxy, err := flagParam(q, "proxy")
	if err != nil {
		return linkRequest{}, err
	}
	return linkRequest{
		path: s.audioPath(r), lifetime: time.Duration(seconds) * time.Second, download: download, proxy: proxy,
	}, nil
}

// audioPath is the file that the route plays, if there is one.
func (s *server) audioPath(r *request) codestory.Path {
	if r.chapter == 0 {
		return r.audioPath()
	}
	return s.lib.Chapter(r.story, r.chapter)
}

// audio answers GET …/audio with a link.
func (s *server) audio(w http.ResponseWriter, r *request) error {
	req, err := s.parseLinkRequest(r)
	if err != nil {
		return err
	}
	link, err := s.link(r.Context(), req)
	if err != nil {
		return err
	}
	link.PlayURL = new(s.playURL(req.path, s.ownerOf(r)))
	if r.chapter > 0 {
		link.ChapterNumber = &r.chapter
	}
	return writeJSON(w, http.StatusOK, link)
}

// ownerOf is whose the story is: for a player the owner that it was let in for.
func (s *server) ownerOf(r *request) codestory.Owner {
	if r.owner.Known() {
		return r.owner
	}
	owner, _ := s.lib.OwnerNow(r.story) // if the story is not known, neither is its owner
	return owner
}

// stream answers GET …/audio/stream with a redirect to a link, or with proxy=1 with the bytes themselves: for clients
// that send their Authorization header also to where they are redirected.
func (s *server) stream(w http.ResponseWriter, r *request) error {
	req, err := s.parseLinkRequest(r)
	if err != nil {
		return err
	}
	if req.proxy || r.Method == http.MethodHead {
		if req.download {
			w.Header().Set("Content-Disposition", s.attachment(r.Context(), req.path))
		}
		if req.proxy {
			return serveFile(s.lib.Open, w, r.Request, req.path, "private, no-store")
		}
		return s.head(w, r.Request, req.path, "private, no-store")
	}
	link, err := s.link(r.Context(), req)
	if err != nil {
		return err
	}
	redirect(w, link.URL, "no-store")
	return nil
}

// head answers HEAD for a file, wherever it is. A redirect would not do: many players then GET the address that was
// signed for HEAD.
func (s *server) head(w http.ResponseWriter, r *http.Request, path codestory.Path, cacheControl string) error {
	err := serveFile(s.lib.OpenHere, w, r, path, cacheControl)
	if !errors.Is(err, codestory.ErrNotFound) {
		return err
	}
	loc, err := s.lib.Locate(r.Context(), path)
	if err != nil {
		return err
	}
	if !loc.Stored && !loc.Local {
		return codestory.ErrNotFound
	}
	return serveContent(w, r, &codestory.Content{Size: loc.Size, ETag: loc.ETag}, path.ContentType(), cacheControl)
}

// redirect answers 302 without a body. The URL is a secret: nobody keeps it, and it is not told to where it leads.
func redirect(w http.ResponseWriter, url, cacheControl string) {
	w.Header().Set("Cache-Control", cacheControl)
	w.Header().Set("Location", url)
	w.WriteHeader(http.StatusFound)
}

// link makes a link: of the store if the file is there, else one that the daemon serves. A store that is in
// trouble does not keep a file on this machine from being played.
func (s *server) link(ctx context.Context, req linkRequest) (codestory.Link, error) {
	loc, err := s.lib.Locate(ctx, req.path)
	if err != nil {
		return codestory.Link{}, err
	}
	if !loc.Stored && !loc.Local {
		return codestory.Link{}, codestory.ErrNotFound
	}
	link := codestory.Link{ContentType: req.path.ContentType(), Size: loc.Size}
	if loc.ETag != "" {
		link.ETag = &loc.ETag
	}
	if loc.Stored {
		url, end, err := s.presign(ctx, req)
		if err == nil {
			link.Source, link.URL, link.ExpiresAt = "remote", url, end.UTC()
			link.ExpiresIn = secondsLeft(end, req.lifetime)
			return link, nil
		}
		noLinks := errors.Is(err, codestory.ErrNoLinks)
		if !noLinks && !loc.Local {
			return codestory.Link{}, err
		}
		if !noLinks && !errors.Is(err, codestory.ErrUnavailable) && ctx.Err() == nil {
			s.log.Warn("the store signed no link, serving the local file instead", "path", req.path, "err", err)
		}
	}
	link.Source = "local"
	link.URL, link.ExpiresAt = s.localURL(req.path, req.lifetime, req.download)
	link.ExpiresIn = int64(req.lifetime / time.Second)
	return link, nil
}

func (s *server) presign(ctx context.Context, req linkRequest) (url string, end time.Time, err error) {
	disposition := ""
	if req.download {
		disposition = s.attachment(ctx, req.path)
	}
	return s.lib.Presign(ctx, req.path, codestory.LinkRequest{
		Method: http.MethodGet, Expires: req.lifetime, Disposition: disposition,
	})
}

// secondsLeft is how long a link is good for that ends at end. Stores count in whole seconds, from the beginning of
// the present one: such a link counts as lasting all of its time.
func secondsLeft(end time.Time, lifetime time.Duration) int64 {
	left := time.Until(end)
	if left > lifetime-time.Second {
		left = lifetime
	}
	return max(0, int64(left/time.Second))
}

// maxTitleRunes bounds the part of a download's name that is the title: file systems take 255 bytes in all, and a
// character is up to 4 of them.
const maxTitleRunes = 55

// attachment is the Content-Disposition that makes a browser save the file, under a name made from the story's title.
// A story that tells no title lends its id.
func (s *server) attachment(ctx context.Context, p codestory.Path) string {
	title := ""
	if story, err := s.lib.Story(ctx, p.Story()); err == nil {
		runes := []rune(safeName(story.Title))
		title = strings.TrimRight(string(runes[:min(len(runes), maxTitleRunes)]), ". ")
	}
	if title == "" {
		title = string(p.Story())
	}
	return attachmentNamed(downloadName(title, p))
}

// downloadName is "My story.mp3" or "My story - chapter 01.mp3".
func downloadName(title string, p codestory.Path) string {
	if n := p.Chapter(); n > 0 {
		title += fmt.Sprintf(" - chapter %02d", n)
	}
	return safeName(title + path.Ext(string(p)))
}

// safeName makes one line of text that every file system takes as part of a name.
func safeName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(`/\:*?"<>|`, r):
			return '_'
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) || r == unicode.ReplacementChar:
			return -1
		default:
			return r
		}
	}, name)
	return strings.Trim(strings.Join(strings.Fields(name), " "), ". ")
}

// attachmentNamed writes the header of RFC 6266: a plain name for everyone, and the true one in UTF-8 if the plain
// one is not it. A "%" is not left in the plain name, since some browsers decode it there.
func attachmentNamed(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || r == '%' {
			return '_'
		}
		return r
	}, name)
	header := `attachment; filename="` + plain + `"`
	if plain != name {
		header += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return header
}
