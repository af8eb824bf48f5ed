package daemon

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
func (d *Daemon) Owner(ctx context.Context, id codestory.StoryID) (codestory.Owner, error) {
	owner, err := d.queue.Owner(id)
	if errors.Is(err, codestory.ErrNotFound) {
		if err := d.findStory(ctx, id); err != nil {
			return codestory.Owner{}, err
		}
		owner, err = d.queue.Owner(id)
	}
	if err != nil || owner.Known() {
		return owner, err
	}
	if err := d.readOwner(ctx, id); err != nil && !unanswering(err) {
		return codestory.Owner{}, err
	}
	return d.queue.Owner(id)
}

// OwnerNow is whose the story is as far as the index knows.
func (d *Daemon) OwnerNow(id codestory.StoryID) (codestory.Owner, error) { return d.queue.Owner(id) }

// readOwner has the metadata.json read of a story that has no owner: the one on this machine once it has settled, else
// that in the store. It does so once in a while. Errors as with find.
func (d *Daemon) readOwner(ctx context.Context, id codestory.StoryID) error {
	path := codestory.MetadataPath(id)
	_, here, err := d.here(path)
	local := here || err != nil
	switch {
	case !local && !d.uploads.Reads():
		return fmt.Errorf("%s: %w", path, codestory.ErrUnavailable)
	case !d.asked.take("owner "+string(id), false):
		return nil
	case local:
		d.reread(path)
		return nil
	default:
		return d.find(ctx, path)
	}
}

// unanswering reports whether the error says that the store has no such file, or does not answer.
func unanswering(err error) bool {
	return errors.Is(err, codestory.ErrNotFound) || errors.Is(err, codestory.ErrUnavailable)
}

// reread has a metadata.json that is here handed on again, whatever is known of its version.
func (d *Daemon) reread(path codestory.Path) {
	if _, settles := d.watcher.Settling(path.Story())[path]; !settles {
		d.watcher.Recheck(path)
	}
}

// sayOf is what a metadata.json in the store says of its story: nothing if one is on this machine, which is read instead.
// The caller holds d.reading until that is in the index, so that it never replaces what was read here later.
func (d *Daemon) sayOf(path codestory.Path, metadata *codestory.Metadata) *codestory.Metadata {
	if metadata == nil {
		return nil
	}
	if _, here, err := d.here(path); here || err != nil {
		return nil
	}
	return metadata
}

// readOwners looks at some of the stories that have no owner, those behind the cursor, and has their metadata.json read.
// Those that stay without one are a problem. It returns where to go on.
func (d *Daemon) readOwners(ctx context.Context, cursor string) (next string, err error) {
	unowned, next, err := d.queue.Unowned(unownedBatch, cursor)
	if err != nil {
		return cursor, err
	}
	ctx, cancel := context.WithTimeout(ctx, unownedTimeout)
	defer cancel()
	var details []string
	lasting := 0
	for _, u := range unowned {
		if err := d.sweepOwner(ctx, u.ID); err != nil {
			return cursor, err
		}
		if owner, err := d.queue.Owner(u.ID); err != nil || owner.Known() || time.Since(u.FirstSeen) < unownedFor {
			continue
		}
		if lasting++; len(details) < unownedDetails {
			details = append(details, d.whyUnowned(u.ID))
		}
	}
	d.reportUnowned(lasting, cursor != "" || next != "", details)
	return next, nil
}

// sweepOwner is readOwner for whoever comes again each minute: what the store has answered holds for an hour.
func (d *Daemon) sweepOwner(ctx context.Context, id codestory.StoryID) error {
	_, here, err := d.here(codestory.MetadataPath(id))
	inStore := !here && err == nil
	if ctx.Err() != nil || inStore && (!d.uploads.Reads() || !d.swept.take(string(id), false)) {
		return nil
	}
	err = d.readOwner(ctx, id)
	if inStore && errors.Is(err, codestory.ErrUnavailable) {
		d.swept.unanswered(string(id))
	}
	if unanswering(err) {
		return nil
	}
	return err
}

// reportUnowned says how many stories have no owner, or more than that.
func (d *Daemon) reportUnowned(n int, more bool, details []string) {
	if n == 0 {
		if !more {
			d.problems.Clear(problemOwnerUnknown)
		}
		return
	}
	count := fmt.Sprint(n)
	if more {
		count = "at least " + count
	}
	d.problems.Report(codestory.Problem{
		Code: problemOwnerUnknown,
		Message: fmt.Sprintf("it is not known whose %s of the stories are, so only tokens of scope manage see them: "+
			`give each a readable metadata.json, with "user_id" as a string if it is another user's`, count),
		Details: details,
	})
}

// whyUnowned says what is the matter with the story's metadata.json.
func (d *Daemon) whyUnowned(id codestory.StoryID) string {
	path := codestory.MetadataPath(id)
	switch _, here, err := d.here(path); {
	case err != nil:
		return fmt.Sprintf("%s cannot be looked at: %v", path, err)
	case here:
		return fmt.Sprintf(`%s cannot be read or parsed, has more than 1 MiB, or has a "user_id" that is no string`, path)
	default:
		return fmt.Sprintf("%s is not on this machine as a regular file, and the store does not have it or does not answer", path)
	}
}
