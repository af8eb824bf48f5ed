package library

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/codestory/codestoryd"
)

// Whose a story is: the index knows it once a metadata.json of the story was read. Until then it is nobody's, and only
// tokens of scope manage see it.

const (
	unownedBatch    = 200       // stories without an owner that one sweep looks at
	sweepOwnerEvery = time.Hour // that the store is asked for the metadata.json of one of them
	unownedTimeout  = 30 * time.Second
	unownedFor      = time.Minute // that a story may have no owner before this is a problem
	unownedDetails  = 5

	problemOwnerUnknown = "owner_unknown"
)

// Owner is whose the story is. A story that the index does not know is asked of the store, and so is its metadata.json
// while nobody knows whose it is.
func (l *Library) Owner(ctx context.Context, id codestory.StoryID) (codestory.Owner, error) {
	owner, err := l.queue.Owner(id)
	if errors.Is(err, codestory.ErrNotFound) {
		if err := l.lookupStory(ctx, id); err != nil {
			return codestory.Owner{}, err
		}
		owner, err = l.queue.Owner(id)
	}
	if err != nil || owner.Known() {
		return owner, err
	}
	if err := l.readOwner(ctx, id); err != nil && !unanswering(err) {
		return codestory.Owner{}, err
	}
	return l.queue.Owner(id)
}

// OwnerNow is whose the story is as far as the index knows.
func (l *Library) OwnerNow(id codestory.StoryID) (codestory.Owner, error) { return l.queue.Owner(id) }

// readOwner has the metadata.json read of a story that has no owner: the one on this machine once it has settled, else
// that in the store. It does so once in a while. Errors as with lookup.
func (l *Library) readOwner(ctx context.Context, id codestory.StoryID) error {
	path := codestory.MetadataPath(id)
	_, here, err := l.here(path)
	local := here || err != nil
	switch {
	case !local && !l.uploads.Reads():
		return fmt.Errorf("%s: %w", path, codestory.ErrUnavailable)
	case !l.asked.take("owner "+string(id), false):
		return nil
	case local:
		l.reread(path)
		return nil
	default:
		return l.lookup(ctx, path)
	}
}

// unanswering reports whether the error says that the store has no such file, or does not answer.
func unanswering(err error) bool {
	return errors.Is(err, codestory.ErrNotFound) || errors.Is(err, codestory.ErrUnavailable)
}

// reread has a metadata.json that is here handed on again, whatever is known of its version.
func (l *Library) reread(path codestory.Path) {
	if _, settles := l.watcher.Settling(path.Story())[path]; !settles {
		l.watcher.Recheck(path)
	}
}

// sayOf is what a metadata.json in the store says of its story: nothing if one is on this machine, which is read instead.
// The caller holds l.reading until that is in the index, so that it never replaces what was read here later.
func (l *Library) sayOf(path codestory.Path, metadata *codestory.Metadata) *codestory.Metadata {
	if metadata == nil {
		return nil
	}
	if _, here, err := l.here(path); here || err != nil {
		return nil
	}
	return metadata
}

// readOwners looks at some of the stories that have no owner, those behind the cursor, and has their metadata.json read.
// Those that stay without one are a problem. It returns where to go on.
func (l *Library) readOwners(ctx context.Context, cursor string) (next string, err error) {
	unowned, next, err := l.queue.Unowned(unownedBatch, cursor)
	if err != nil {
		return cursor, err
	}
	ctx, cancel := context.WithTimeout(ctx, unownedTimeout)
	defer cancel()
	var details []string
	lasting := 0
	for _, u := range unowned {
		if err := l.sweepOwner(ctx, u.ID); err != nil {
			return cursor, err
		}
		if owner, err := l.queue.Owner(u.ID); err != nil || owner.Known() || time.Since(u.FirstSeen) < unownedFor {
			continue
		}
		if lasting++; len(details) < unownedDetails {
			details = append(details, l.whyUnowned(u.ID))
		}
	}
	l.reportUnowned(lasting, cursor != "" || next != "", details)
	return next, nil
}

// sweepOwner is readOwner for whoever comes again each minute: what the store has answered holds for an hour.
func (l *Library) sweepOwner(ctx context.Context, id codestory.StoryID) error {
	_, here, err := l.here(codestory.MetadataPath(id))
	inStore := !here && err == nil
	if ctx.Err() != nil || inStore && (!l.uploads.Reads() || !l.swept.take(string(id), false)) {
		return nil
	}
	err = l.readOwner(ctx, id)
	if inStore && errors.Is(err, codestory.ErrUnavailable) {
		l.swept.unanswered(string(id))
	}
	if unanswering(err) {
		return nil
	}
	return err
}

// reportUnowned says how many stories have no owner, or more than that.
func (l *Library) reportUnowned(n int, more bool, details []string) {
	if n == 0 {
		if !more {
			l.problems.Clear(problemOwnerUnknown)
		}
		return
	}
	count := fmt.Sprint(n)
	if more {
		count = "at least " + count
	}
	l.problems.Report(codestory.Problem{
		Code: problemOwnerUnknown,
		Message: fmt.Sprintf("it is not known whose %s of the stories are, so only tokens of scope manage see them: "+
			`give each a readable metadata.json, with "user_id" as a string if it is another user's`, count),
		Details: details,
	})
}

// whyUnowned says what is the matter with the story's metadata.json.
func (l *Library) whyUnowned(id codestory.StoryID) string {
	path := codestory.MetadataPath(id)
	switch _, here, err := l.here(path); {
	case err != nil:
		return fmt.Sprintf("%s cannot be looked at: %v", path, err)
	case here:
		return fmt.Sprintf(`%s cannot be read or parsed, has more than 1 MiB, or has a "user_id" that is no string of at most 1 KiB`, path)
	default:
		return fmt.Sprintf("%s is not on this machine as a regular file, and the store does not have it or does not answer", path)
	}
}
