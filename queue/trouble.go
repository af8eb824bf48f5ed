package queue

import (
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/disk"
)

// trouble is why the database cannot be written at the moment, as on a full disk.
type trouble struct {
	mu    sync.Mutex
	err   error // nil while all is well
	since time.Time
}

func (t *trouble) set(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.since = time.Now().Round(0)
	}
	t.err = err
}

func (t *trouble) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = nil
}

// enoughRoom is how many bytes of a disk have to be free before it counts as not full any more. A small write may
// succeed in what the database has free itself, and the next one fail.
const enoughRoom = 1 << 20

// recovered ends the trouble after a write that succeeded.
func (q *Queue) recovered() {
	_, err := q.Trouble()
	if err == nil {
		return
	}
	if room, known := disk.Room(filepath.Dir(q.path)); errors.Is(err, codestory.ErrDiskFull) && known && room < enoughRoom {
		return
	}
	q.trouble.clear()
}

// Trouble is since when writes fail, and why; nil while all is well. Nothing is lost by it: what could not be written was
// not acknowledged.
func (q *Queue) Trouble() (since time.Time, err error) {
	q.trouble.mu.Lock()
	defer q.trouble.mu.Unlock()
	return q.trouble.since, q.trouble.err
}

// Probe writes nothing new, to see whether that can be done. It ends Trouble, or says that it lasts.
func (q *Queue) Probe() error {
	return q.commit(func(ch *change) error {
		meta := ch.tx.Bucket(bucketMeta)
		return meta.Put(keySchema, append([]byte(nil), meta.Get(keySchema)...))
	})
}

// damage is the first that anything met.
type damage struct {
	mu  sync.Mutex
	met chan struct{} // closed then
	err error
}

func (d *damage) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.met, d.err = make(chan struct{}), nil
}

func (d *damage) set(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
		close(d.met)
	}
}

func (d *damage) get() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// noticed lets Damaged know of an error that says so.
func (q *Queue) noticed(err error) error {
	if errors.Is(err, ErrDamaged) {
		q.damage.set(err)
	}
	return err
}

// Damage is what was met first, until Rebuild has ended it; nil while all is well.
func (q *Queue) Damage() error { return q.damage.get() }

// Damaged is closed once damage was met: Rebuild is due.
func (q *Queue) Damaged() <-chan struct{} {
	q.damage.mu.Lock()
	defer q.damage.mu.Unlock()
	return q.damage.met
}
