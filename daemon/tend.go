package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/codestory/codestoryd/queue"
)

const (
	tendEvery    = 5 * time.Second
	compactEvery = time.Minute
	checkFirst   = 15 * time.Second // after the start, where the database was too large to be checked then
	checkEvery   = 24 * time.Hour   // since pages may go bad on the disk
	checkBusy    = 2 * time.Minute  // that a check waits for uploads to end, which it might hold up
	rescanAfter  = 10 * time.Second // a rebuilt database: for what was handed on a moment before, and is not looked at at once
	rebuildGap   = 10 * time.Second // between one damage and the next: a disk that is broken is not written full
)

// tend looks after the database until ctx ends: rebuilds it where it is damaged, looks whether it can be written again
// where it could not, and checks and compacts it while nothing else goes on.
func (d *Daemon) tend(ctx context.Context) {
	if r := d.queue.Rebuilt(); r != nil && r.Now {
		d.reportRebuilt(r)
	}
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	checkAt := time.Now().Add(checkEvery)
	if !d.queue.Checked() {
		checkAt = time.Now().Add(checkFirst)
	}
	compactAt := time.Now()
	var rebuilt time.Time
	again := false // the directory is to be scanned
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.queue.Damaged():
			sleep(ctx, time.Until(rebuilt.Add(rebuildGap)))
			d.rebuild(ctx)
			rebuilt, again = time.Now(), true
			continue
		case <-tick.C:
		}
		if again && time.Since(rebuilt) > rescanAfter {
			d.watcher.Rescan()
			again = false
		}
		d.probe()
		if touched, err := d.queue.Touched(); touched && err == nil {
			d.log.Warn("somebody else has written to the database: it is checked", "path", d.queue.Path())
			checkAt = time.Time{}
		}
		now, idle := time.Now(), !d.anythingWaits()
		if late := now.Sub(checkAt); late >= 0 && idle || late >= checkBusy {
			checkAt = now.Add(checkEvery)
			if err := d.queue.Check(); err != nil && !errors.Is(err, queue.ErrDamaged) {
				d.log.Warn("the database could not be checked; it is tried again", "error", err)
				checkAt = now.Add(checkFirst)
			}
		}
		if idle && !now.Before(compactAt) {
			compactAt = now.Add(compactEvery)
			d.compact()
		}
	}
}

// probe looks whether a database that failed can be written again, so that this is known before anybody needs it.
func (d *Daemon) probe() {
	_, err := d.queue.Trouble()
	if err == nil && len(d.database.list()) == 0 {
		return
	}
	if d.queue.Probe() != nil {
		return
	}
	if _, err := d.queue.Trouble(); err == nil {
		d.database.clear()
	}
}

func (d *Daemon) compact() {
	switch saved, err := d.queue.Compact(); {
	case err != nil:
		d.log.Warn("the database could not be compacted; it is tried again", "error", err)
	case saved > 0:
		d.log.Info("the database was compacted", "saved_bytes", saved)
	}
}

// rebuild replaces a damaged database, and has the output directory scanned for what the new one should know.
func (d *Daemon) rebuild(ctx context.Context) {
	for failures := 1; ; failures++ {
		err := d.queue.Rebuild()
		if err == nil {
			break
		}
		if d.database.set(err) {
			d.log.Error("the damaged database cannot be replaced; it is tried again", "error", err)
		}
		if !sleep(ctx, databaseDelays.after(failures)) {
			return
		}
	}
	d.database.clear()
	d.reportRebuilt(d.queue.Rebuilt())
	d.watcher.Rescan()
}

func (d *Daemon) reportRebuilt(r *queue.Rebuilt) {
	if r == nil || !r.Now {
		d.log.Warn("the database was opened again: it is whole, or another was put in its place")
		return
	}
	if r.Aside == "" {
		d.log.Warn("the database was gone, and is made anew from the output directory and the store", "unread", r.Unread)
		return
	}
	d.log.Error("the database was damaged: it is set aside, and made anew from the output directory and the store",
		"aside", r.Aside, "reason", r.Reason, "unread", r.Unread)
}

// sleep waits that long, and reports whether ctx is still there.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
