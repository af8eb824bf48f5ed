package library

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/remote"
)

// Locate says where the present version of the file can be had. What is neither here nor in the index is asked of
// the store, and so is, once in a while, what others may have changed there.
func (l *Library) Locate(ctx context.Context, path codestory.Path) (codestory.Location, error) {
	return l.locate(ctx, path, true)
}

// locate is Locate; current is that what others may have changed is to be asked for.
func (l *Library) locate(ctx context.Context, path codestory.Path, current bool) (codestory.Location, error) {
	local, here, err := l.here(path)
	if err != nil {
		return codestory.Location{}, err
	}
	f, err := l.queue.File(path)
	unknown := errors.Is(err, codestory.ErrNotFound) || err == nil && f.State == codestory.Missing
	if unknown && !here {
		if err := l.lookup(ctx, path); err != nil {
			return codestory.Location{}, err
		}
		f, err = l.queue.File(path)
	} else if err == nil && f.State == codestory.Synced && current && !here && l.uploads.Reads() {
		f, err = l.refresh(ctx, f)
	}
	switch {
	case here && errors.Is(err, codestory.ErrNotFound): // and not settled yet
		return codestory.Location{Size: local.Size, Local: true}, nil
	case err != nil:
		return codestory.Location{}, err
	case here && (f.State != codestory.Synced || f.Version != local):
		return codestory.Location{Size: local.Size, Local: true}, nil
	case f.Stored == nil:
		return codestory.Location{}, fmt.Errorf("%s: %w", path, codestory.ErrNotFound)
	case !here && !l.uploads.Reads():
		return codestory.Location{}, fmt.Errorf("%s: %w", path, codestory.ErrUnavailable)
	default:
		stored := l.uploads.Reads() && (!here || l.uploads.AnswersNow(ctx))
		return codestory.Location{Size: f.Stored.Size, ETag: f.Stored.ETag, Stored: stored, Local: here}, nil
	}
}

// Chapter is where chapter n is: under the name that codestoryd gives it, else under that of the file with its number, if there is
// one.
func (l *Library) Chapter(id codestory.StoryID, n int) codestory.Path {
	path := codestory.ChapterPath(id, n)
	if _, here, err := l.here(path); here || err != nil {
		return path
	}
	if f, err := l.queue.File(path); err == nil && f.State != codestory.Missing {
		return path
	}
	s, err := l.queue.Story(id)
	if err != nil {
		return path
	}
	story, err := l.describe(s)
	if err != nil {
		return path
	}
	isIt := func(c codestory.Chapter) bool { return c.Number == n }
	if i := slices.IndexFunc(story.Chapters, isIt); i >= 0 {
		return story.Chapters[i].Path
	}
	return path
}

// here is the version of the file that is on this machine, if it is. An error says that this cannot be told.
func (l *Library) here(path codestory.Path) (version codestory.Version, here bool, err error) {
	version, err = l.tree.Stat(path)
	switch {
	case err == nil:
		return version, true, nil
	case errors.Is(err, codestory.ErrNotFound), errors.Is(err, watch.ErrDirMissing):
		return codestory.Version{}, false, nil
	default:
		return codestory.Version{}, false, fmt.Errorf("%w: %w", codestory.ErrUnavailable, err)
	}
}

// Presign makes a link of the store; codestory.ErrNoLinks where the store makes none.
func (l *Library) Presign(ctx context.Context, path codestory.Path, req codestory.LinkRequest) (url string, expires time.Time, err error) {
	linker, ok := l.store.(remote.Linker)
	if !ok {
		return "", time.Time{}, codestory.ErrNoLinks
	}
	link, err := linker.Link(ctx, remote.LinkRequest{
		Method: req.Method, Key: path.Key(), Expires: req.Expires,
		ContentType: path.ContentType(), Disposition: req.Disposition,
	})
	if err != nil {
		return "", time.Time{}, l.unanswered(ctx, err)
	}
	return link.URL, link.Expires, nil
}
