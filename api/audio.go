package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/codestory/codestoryd"
)

const (
	defaultExpires = 3600      // seconds that a link is good for
	maxExpires     = 7 * 86400 // the longest that S3 signs
)

// linkRequest is which link a client asks for.
type linkRequest struct {
	path     codestory.Path
	owner    codestory.Owner // of the story
	method   string          // that the link has to answer
	lifetime time.Duration
	download bool
	proxy    bool // the bytes from the daemon instead of a link to them
}

func parseLinkRequest(r *http.Request, path codestory.Path, method string) (linkRequest, error) {
	q, err := parseQuery(r)
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
		path: path, method: method, lifetime: time.Duration(seconds) * time.Second, download: download, proxy: proxy,
	}, nil
}

// audio answers GET …/audio with a link.
func (s *server) audio(w http.ResponseWriter, r *http.Request, req storyRequest) error {
	path := s.audioPath(req)
	linkReq, err := parseLinkRequest(r, path, http.MethodGet)
	if err != nil {
		return err
	}
	linkReq.owner = s.ownerOf(req)
	body := s.recent.of(linkReq)
	if body == nil {
		link, here, err := s.link(r.Context(), linkReq)
		if err != nil {
			return err
		}
		linkReq.owner = s.ownerOf(req) // which may have been found with the file
		link.PlayURL = new(s.playURL(path, linkReq.owner))
		if req.chapter > 0 {
			link.ChapterNumber = &req.chapter
		}
		body = encode(link)
		if here {
			s.recent.add(linkReq, body)
		}
	}
	writeEncoded(w, http.StatusOK, "application/json", body)
	return nil
}

// audioPath is the file that plays, if there is one.
func (s *server) audioPath(req storyRequest) codestory.Path {
	if req.chapter == 0 {
		return req.audioPath()
	}
	return s.lib.Chapter(req.id, req.chapter)
}

// ownerOf is whose the story is: for a player the owner that it was let in for.
func (s *server) ownerOf(req storyRequest) codestory.Owner {
	if req.owner.Known() {
		return req.owner
	}
	owner, _ := s.lib.OwnerNow(req.id) // of a story that is not known it is not known either
	return owner
}

// stream answers GET and HEAD …/audio/stream with a redirect to a link for the same method, or with proxy=1 with the
// bytes themselves: for clients that bring their Authorization header along to where they are redirected.
func (s *server) stream(w http.ResponseWriter, r *http.Request, req storyRequest) error {
	linkReq, err := parseLinkRequest(r, s.audioPath(req), r.Method)
	if err != nil {
		return err
	}
	if linkReq.proxy {
		if linkReq.download {
			w.Header().Set("Content-Disposition", s.attachment(r.Context(), linkReq.path))
		}
		return s.serveFile(w, r, linkReq.path, "private, no-store")
	}
	link, _, err := s.link(r.Context(), linkReq)
	if err != nil {
		return err
	}
	redirect(w, link.URL, "no-store")
	return nil
}

// redirect answers 302 without a body. The URL is a secret: nobody keeps it, and it is not told to where it leads.
func redirect(w http.ResponseWriter, url, cacheControl string) {
	w.Header().Set("Cache-Control", cacheControl)
	w.Header().Set("Location", url)
	w.WriteHeader(http.StatusFound)
}

// link makes a link: of the store where the file is in there, else one that the daemon serves. A store that is in
// trouble does not keep a file on this machine from being played. here is that it is one.
func (s *server) link(ctx context.Context, req linkRequest) (link codestory.Link, here bool, err error) {
	loc, err := s.lib.Locate(ctx, req.path)
	if err != nil {
		return codestory.Link{}, false, err
	}
	if !loc.Stored && !loc.Local {
		return codestory.Link{}, false, codestory.ErrNotFound
	}
	link = codestory.Link{ContentType: req.path.ContentType(), Size: loc.Size}
	if loc.ETag != "" {
		link.ETag = &loc.ETag
	}
	if loc.Stored {
		url, end, err := s.presign(ctx, req)
		if err == nil {
			link.Source, link.URL, link.ExpiresAt = "remote", url, end.UTC()
			link.ExpiresIn = secondsLeft(end, req.lifetime)
			return link, loc.Local, nil
		}
		noLinks := errors.Is(err, codestory.ErrNoLinks)
		if !noLinks && !loc.Local {
			return codestory.Link{}, false, err
		}
		if !noLinks && !errors.Is(err, codestory.ErrUnavailable) && ctx.Err() == nil {
			s.log.Warn("the store signed no link, serving the local file instead", "path", req.path, "err", err)
		}
	}
	link.Source = "local"
	link.URL, link.ExpiresAt = s.localURL(req.path, req.lifetime, req.download)
	link.ExpiresIn = int64(req.lifetime / time.Second)
	return link, loc.Local, nil
}

func (s *server) presign(ctx context.Context, req linkRequest) (url string, end time.Time, err error) {
	disposition := ""
	if req.download {
		disposition = s.attachment(ctx, req.path)
	}
	return s.lib.Presign(ctx, req.path, codestory.LinkRequest{
		Method: req.method, Expires: req.lifetime, Disposition: disposition,
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
