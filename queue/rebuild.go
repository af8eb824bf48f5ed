package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd"
)

// A database that was lost is begun anew. The caller finds the files in the output directory again and enqueues them;
// what the store has of them it can ask the store (Claim.Lost). The rest is in the file beside the database.

const (
	keptSuffix  = ".kept"
	asideSuffix = ".damaged-" // and the time
	asideTime   = "20060102T150405Z"
	maxAside    = 3 // databases that were set aside; of more the oldest is removed
)

// Rebuilt says how the database came to be begun anew.
type Rebuilt struct {
	At     time.Time `json:"at"`
	Aside  string    `json:"aside,omitempty"`  // where the damaged one is; "" where there is none
	Reason string    `json:"reason,omitempty"` // what was wrong with it; "" where it was not there
	Unread int       `json:"unread,omitempty"` // things that were kept beside it and could not be read any more
	Listed bool      `json:"listed,omitempty"` // the store was asked what it has; see NoteListed
	Now    bool      `json:"-"`                // since this queue was opened
}

var keyRebuilt = []byte("rebuilt") // a Rebuilt as JSON

// Rebuilt is nil where the database was never lost.
func (q *Queue) Rebuilt() *Rebuilt {
	q.swap.RLock()
	defer q.swap.RUnlock()
	return q.rebuilt
}

// NoteListed records that the store was asked for all that it has, so that it is not asked again.
func (q *Queue) NoteListed() error {
	err := q.commit(func(ch *change) error {
		r := readRebuilt(ch.tx)
		if r == nil {
			return nil
		}
		r.Listed = true
		return putRebuilt(ch.tx, *r)
	})
	if err != nil {
		return err
	}
	q.swap.Lock()
	defer q.swap.Unlock()
	if q.rebuilt != nil {
		listed := *q.rebuilt
		listed.Listed = true
		q.rebuilt = &listed
	}
	return nil
}

func putRebuilt(tx *bolt.Tx, r Rebuilt) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding how the database was rebuilt: %w", err)
	}
	return tx.Bucket(bucketMeta).Put(keyRebuilt, text)
}

func readRebuilt(tx *bolt.Tx) *Rebuilt {
	var r Rebuilt
	if text := tx.Bucket(bucketMeta).Get(keyRebuilt); text == nil || json.Unmarshal(text, &r) != nil {
		return nil
	}
	return &r
}

// lost reports whether the store may have this version without the index knowing: it is older than the rebuilt database.
func (r *Rebuilt) lost(v codestory.Version) bool {
	return r != nil && max(v.ChangeTime, v.ModTime) <= r.At.UnixNano()
}

// Rebuild closes the database in which damage was met and looks at it afresh. One that is damaged is set aside, and a new
// one begun with what is kept beside it, as with Options.Rebuild; one that is whole, or was put in its place, is gone on
// with. Claims that are open are of no use any more: nothing comes of them. While Rebuild fails nothing can be had of the
// queue, and it may be tried again. It does nothing where no damage was met.
func (q *Queue) Rebuild() error {
	q.writer.Lock()
	defer q.writer.Unlock()
	damage := q.damage.get()
	if damage == nil {
		return nil
	}
	defer q.announce()
	q.mu.Lock() // before swap, as by those who look at the database with what is claimed in mind
	defer q.mu.Unlock()
	q.swap.Lock()
	defer q.swap.Unlock()
	if q.db != nil {
		q.kept.close()
		_ = q.closeDatabase() // it is lost anyway
		q.db, q.broken = nil, damage
	}
	fresh, err := openOrRebuild(q.path, q.name, Options{Timeout: time.Second, Rebuild: true, check: true}, nil)
	if err != nil {
		return err
	}
	q.db, q.file, q.kept, q.broken = fresh.db, fresh.file, fresh.kept, nil
	q.destination, q.rebuilt, q.checked = fresh.destination, fresh.rebuilt, fresh.checked
	q.looked = look{} // of the file before
	q.epoch++
	q.counts = fresh.counts // what is claimed stays so: no path is claimed a second time before its claim has ended
	q.records.reset()
	q.trouble.clear()
	q.damage.reset()
	return nil
}

// setAside renames the database that is damaged in that way, and returns what is to be said of it; nil where there is none
// any more, or another process has put a new one in its place.
func setAside(path string, damage error) (*Rebuilt, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("setting the damaged database aside: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := lock(file); err != nil {
		return nil, fmt.Errorf("%w: %s, which is damaged, is held by %s", ErrLocked, path, holder(path))
	}
	defer func() { _ = unlock(file) }()
	if !isAt(file, path) {
		return nil, nil
	}
	aside := path + asideSuffix + time.Now().UTC().Format(asideTime)
	if _, err := os.Lstat(aside); err == nil { // the second in one second
		aside += time.Now().Format(".000000000")
	}
	if err := renameLocked(file, path, aside); err != nil {
		return nil, fmt.Errorf("setting the damaged database aside: %w: move %s away yourself", err, path)
	}
	removeOldAside(path)
	return &Rebuilt{Aside: aside, Reason: reasonOf(damage)}, nil
}

// Asides are the databases that were set aside and are still there, the oldest first.
func (q *Queue) Asides() []string { return asides(q.path) }

func asides(path string) []string {
	found, _ := filepath.Glob(escapeGlob(path) + asideSuffix + "*")
	slices.Sort(found)
	return found
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(path)
}

// removeOldAside keeps a disk that damages one database after another from being filled with them.
func removeOldAside(path string) {
	found := asides(path)
	for _, old := range found[:max(0, len(found)-maxAside)] {
		_ = os.Remove(old)
	}
}
