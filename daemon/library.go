package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// What a player may be given: the answers to the API.

// Locate says where the present version of the file can be had. What is neither here nor in the index is asked of
// the store, and so is, once in a while, what others may have changed there.
func (d *Daemon) Locate(ctx context.Context, path codestory.Path) (codestory.Location, error) {
	return d.locate(ctx, path, true)
}

// locate is Locate; current is that what others may have changed is to be asked for.
func (d *Daemon) locate(ctx context.Context, path codestory.Path, current bool) (codestory.Location, error) {
	local, here, err := d.here(path)
	if err != nil {
		return codestory.Location{}, err
	}
	f, err := d.queue.File(path)
	unknown := errors.Is(err, codestory.ErrNotFound) || err == nil && f.State == codestory.Missing
	if unknown && !here {
		if err := d.find(ctx, path); err != nil {
			return codestory.Location{}, err
		}
		f, err = d.queue.File(path)
	} else if err == nil && f.State == codestory.Synced && current && !here && d.gate.reads() {
		f, err = d.refresh(ctx, f)
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
	case !here && !d.gate.reads():
		return codestory.Location{}, fmt.Errorf("%s: %w", path, codestory.ErrUnavailable)
	default:
		stored := d.gate.reads() && (!here || d.gate.answersNow(ctx))
		return codestory.Location{Size: f.Stored.Size, ETag: f.Stored.ETag, Stored: stored, Local: here}, nil
	}
}

// Chapter is where chapter n is: under the name that codestoryd gives it, else under that of the file with its number, if there is
// one.
func (d *Daemon) Chapter(id codestory.StoryID, n int) codestory.Path {
	path := codestory.ChapterPath(id, n)
	if _, here, err := d.here(path); here || err != nil {
		return path
	}
	if f, err := d.queue.File(path); err == nil && f.State != codestory.Missing {
		return path
	}
	s, err := d.queue.Story(id)
	if err != nil {
		return path
	}
	story, err := d.describe(s)
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
func (d *Daemon) here(path codestory.Path) (version codestory.Version, here bool, err error) {
	version, err = d.tree.Stat(path)
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
func (d *Daemon) Presign(ctx context.Context, path codestory.Path, req codestory.LinkRequest) (url string, expires time.Time, err error) {
	linker, ok := d.remote.(remote.Linker)
	if !ok {
		return "", time.Time{}, codestory.ErrNoLinks
	}
	link, err := linker.Link(ctx, remote.LinkRequest{
		Method: req.Method, Key: path.Key(), Expires: req.Expires,
		ContentType: path.ContentType(), Disposition: req.Disposition,
	})
	if err != nil {
		return "", time.Time{}, d.unanswered(ctx, err)
	}
	return link.URL, link.Expires, nil
}

// Open opens the bytes: of the file on this machine, else of the object in the store. The caller closes.
func (d *Daemon) Open(ctx context.Context, path codestory.Path) (*codestory.Content, error) {
	content, err := d.OpenHere(ctx, path)
	if !errors.Is(err, codestory.ErrNotFound) {
		return content, err
	}
	loc, err := d.locate(ctx, path, false) // what is learnt from the object itself is enough
	if err != nil {
		return nil, err
	}
	if !loc.Stored {
		return nil, fmt.Errorf("%s: %w", path, codestory.ErrNotFound)
	}
	content, err = d.storedContent(ctx, path)
	if err != nil {
		return nil, d.unanswered(ctx, err)
	}
	return content, nil
}

// OpenHere opens the bytes of the file on this machine; codestory.ErrNotFound where it is not here.
func (d *Daemon) OpenHere(ctx context.Context, path codestory.Path) (*codestory.Content, error) {
	f, err := d.tree.OpenStable(ctx, path)
	switch {
	case err == nil:
		return d.localContent(f), nil
	case errors.Is(err, watch.ErrDirMissing):
		return nil, fmt.Errorf("%w: %w", codestory.ErrNotFound, err)
	case errors.Is(err, codestory.ErrNotFound), errors.Is(err, codestory.ErrChanged), ctx.Err() != nil:
		return nil, err
	default:
		return nil, fmt.Errorf("%w: %w", codestory.ErrUnavailable, err)
	}
}

// Stories lists stories with their files, newest first.
func (d *Daemon) Stories(_ context.Context, owner *string, limit int, cursor string) (codestory.StoryPage, error) {
	stories, next, err := d.queue.Stories(owner, limit, cursor)
	if err != nil {
		return codestory.StoryPage{}, err
	}
	page := codestory.StoryPage{Stories: make([]codestory.Story, 0, len(stories)), NextCursor: text(next)}
	for _, s := range stories {
		story, err := d.describe(s)
		if err != nil {
			return codestory.StoryPage{}, err
		}
		if now, err := d.queue.Owner(s.ID); err != nil || now != s.Owner { // its files may be another's by now
			continue
		}
		page.Stories = append(page.Stories, story)
	}
	return page, nil
}

// Story describes the story with its files.
func (d *Daemon) Story(ctx context.Context, id codestory.StoryID) (codestory.Story, error) {
	if _, err := d.Owner(ctx, id); err != nil {
		return codestory.Story{}, err
	}
	if err := d.refreshStory(ctx, id); err != nil {
		return codestory.Story{}, err
	}
	for {
		s, err := d.queue.Story(id)
		if err != nil {
			return codestory.Story{}, err
		}
		story, err := d.describe(s)
		if err != nil {
			return codestory.Story{}, err
		}
		// Its files were read after its owner: another one may have them by now.
		if owner, err := d.queue.Owner(id); err != nil || owner == s.Owner {
			return story, err
		}
	}
}

func (d *Daemon) describe(s queue.Story) (codestory.Story, error) {
	files, err := d.queue.Files(s.ID)
	if err != nil {
		return codestory.Story{}, err
	}
	now, err := d.circumstances()
	if err != nil {
		return codestory.Story{}, err
	}
	sounds, err := d.queue.Sounds(s.ID)
	if err != nil {
		return codestory.Story{}, err
	}
	v := storyView{story: s, files: files, sounds: sounds, settling: d.watcher.Settling(s.ID), now: now}
	maps.DeleteFunc(v.settling, func(path codestory.Path, _ string) bool { return d.rules.Excludes(path) }) // it settles to be read
	v.here = func(path codestory.Path) (codestory.Version, bool) {
		version, err := d.tree.Stat(path)
		return version, err == nil
	}
	return v.describe(), nil
}
