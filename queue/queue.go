// Package queue makes work durable: it keeps, in one bbolt database, every file that waits to be uploaded and the
// index of what is stored where. It must not know the output directory, stores or HTTP.
//
// There is one record per path. A file's life in it:
//
//	              Enqueue                  Next                   Done
//	(unknown) ──────────────▶ queued ───────────────▶ claimed ───────────▶ synced
//	                           ▲  ▲ ▲                  │ │ │ │               │
//	                           │  │ └─── Release ──────┘ │ │ │               │
//	                           │  └ due ── retrying ◀────┘ │ │    Enqueue    │
//	                           │            (Retry)        │ │  (new version)│
//	                           ├────────── blocked ◀───────┘ │               │
//	                           │ Enqueue    (Block)          │               │
//	                           ├────────── settling ◀────────┘               │
//	                           │ Enqueue    (Changed)                        │
//	                           └─────────────────────────────────────────────┘
//
// A person may make what waits ignored (Drop), until Enqueue brings a new version, and what is retrying or blocked
// queued (Retry).
//
// "Claimed" is never written down. bbolt's file lock makes this process the one owner of the database, so whatever
// was claimed when it died is simply queued again at the next start, and no lease or clock is needed.
//
// Each settled version of a path is a generation. A newer one replaces an older one in the record, whatever state that
// is in, so a path that is rewritten a thousand times is still one item. A claim that ends for an older generation
// records what was stored and leaves the newer one waiting.
//
// A method that changes something has made it durable when it returns nil. Killed at any point before, the database is
// what it was.
package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// The buckets. Keys of files and stories are paths and story ids as they are.
var (
	bucketMeta         = []byte("meta")         // "schema" → decimal; "destination" → the last name of one; "paused" → since when
	bucketFiles        = []byte("files")        // path → record
	bucketReady        = []byte("ready")        // order, path → ""; what may be claimed, first the most urgent
	bucketDue          = []byte("due")          // time, path → ""; what waits for its next attempt
	bucketAge          = []byte("age")          // time, path → ""; all of both, the longest waiting first
	bucketBlocked      = []byte("blocked")      // time, path → ""; what waits for a person, the longest first
	bucketIgnored      = []byte("ignored")      // time, path → ""; what a person has dropped
	bucketSettling     = []byte("settling")     // time, path → ""; what has to settle anew
	bucketLedger       = []byte("ledger")       // path, generation → destination, state of an upload in parts
	bucketStories      = []byte("stories")      // story id → Story as JSON
	bucketNewest       = []byte("newest")       // inverted creation time, story id → user
	bucketDestinations = []byte("destinations") // name → number
	bucketFound        = []byte("found")        // path → ""; objects in the index that others stored
	bucketForms        = []byte("forms")        // path → destination, time; uploads that others may do until then
	bucketRemovals     = []byte("removals")     // path → destination, times, whether once; objects to be deleted
	bucketUnanswered   = []byte("unanswered")   // path, ETag → destination, time; uploads that the store may still take
)

var (
	// ErrLocked: another process has the database open.
	ErrLocked = errors.New("the database is in use")
	// ErrEmpty: nothing was ever written to the database, and it was opened to look only.
	ErrEmpty = errors.New("the database is empty")
	// ErrDamaged: the file is no database, or not a whole one. Nothing has been written to it.
	ErrDamaged = errors.New("the database is damaged")
)

// Options are what Open can do without.
type Options struct {
	// Timeout is how long to wait for another process to let go of the database; 0 waits for one second.
	Timeout time.Duration
	// ReadOnly looks and changes nothing; every method that would write fails.
	ReadOnly bool
}

// Queue is an open database. All methods may be called at the same time.
type Queue struct {
	db          *bolt.DB
	file        *os.File // of db
	name        string   // of the destination
	destination uint64   // its number; 0 where there is none

	writer  sync.Mutex // held for a write transaction
	broken  error      // the damage that a write transaction met; guarded by writer
	pending struct {
		sync.Mutex
		calls []*call
	}

	// mu guards all below. A transaction may begin while it is held, and waits then for those under way where the
	// database grows: so it must not be asked for inside one.
	mu       sync.Mutex
	claimed  map[string]*Claim
	deferred map[string]deferral
	counts   counts
	changed  chan struct{} // closed, and replaced, when there may be something new to claim
}

// Open opens the database, made if absent unless it is opened read-only. destination names the store that the caller
// uploads to (remote.Info.Destination): what the index knows of other stores counts as not uploaded. "" is the one that
// was named last. The error wraps ErrLocked, naming the process that has the database open, or ErrDamaged.
func Open(path, destination string, opts Options) (*Queue, error) {
	if opts.Timeout == 0 {
		opts.Timeout = time.Second
	}
	q := &Queue{claimed: map[string]*Claim{}, deferred: map[string]deferral{}, changed: make(chan struct{})}
	var err error
	if q.db, q.file, err = openFile(path, opts); err != nil {
		return nil, openError(path, err)
	}
	if err := q.load(destination, opts.ReadOnly); err != nil {
		_ = q.Close()
		return nil, openError(path, err)
	}
	return q, nil
}

// openFile opens the file and locks it. Where it fails the lock is let go of, also when bbolt panicked over a damaged
// page and left the file open.
func openFile(path string, opts Options) (db *bolt.DB, file *os.File, err error) {
	err = guard(func() (err error) {
		db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout:      opts.Timeout,
			ReadOnly:     opts.ReadOnly,
			FreelistType: bolt.FreelistMapType,
			OpenFile: func(name string, flag int, perm fs.FileMode) (*os.File, error) {
				file, err = os.OpenFile(name, flag, perm)
				return file, err
			},
		})
		return err
	})
	if err == nil || file == nil {
		return db, file, err
	}
	_ = unlock(file)
	_ = file.Close() // an error each, where bbolt has done so
	if info, statErr := os.Stat(path); statErr == nil && 0 < info.Size() && info.Size() < smallest() &&
		!errors.Is(err, berrors.ErrTimeout) {
		err = fmt.Errorf("%w: the file has %d bytes, too few for any", ErrDamaged, info.Size())
	}
	return nil, nil, err
}

// smallest is the size of a new database, which is four pages.
func smallest() int64 { return 4 * int64(os.Getpagesize()) }

// openError says what a person can do about err.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w: %s is held by %s: stop that, or choose another --data-dir", ErrLocked, path, holder(path))
	case errors.Is(err, ErrDamaged), errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum),
		errors.Is(err, berrors.ErrVersionMismatch):
		return fmt.Errorf("%w: move %s aside and start again; it is made anew from the output directory (%s)",
			ErrDamaged, path, strings.TrimPrefix(err.Error(), ErrDamaged.Error()+": "))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("opening the database: %w: give this user the rights to it", err)
	default:
		return fmt.Errorf("opening the database %s: %w", path, err)
	}
}

// load checks what is there and counts it, and only then makes what is absent: a file that is refused stays as it is,
// byte for byte. It reads every record and story once, so that a damaged one is found now and not in the middle of the
// work.
func (q *Queue) load(destination string, readOnly bool) error {
	if err := q.checkSize(); err != nil {
		return err
	}
	ready := false
	err := q.view(func(tx *bolt.Tx) error {
		if isNew(tx) {
			if readOnly {
				return ErrEmpty
			}
			return nil
		}
		if err := checkSchema(tx); err != nil {
			return err
		}
		last, _ := findDestination(tx, "")
		q.name, q.destination = findDestination(tx, destination)
		ready = q.name == last && schemaOf(tx) == schema || readOnly
		err := forEachRecord(tx, func(_ []byte, r record) error {
			q.counts.add(r, q.destination)
			return nil
		})
		return errors.Join(err, checkIndexes(tx), checkStories(tx))
	})
	if err != nil || ready {
		return err
	}
	return q.commit(func(ch *change) error { return q.prepare(ch.tx, destination) })
}

// checkSize holds the file's size against what its meta page says. bbolt maps the file: a page past the end would be a
// fault at some later time.
func (q *Queue) checkSize() error {
	info, err := os.Stat(q.db.Path())
	if err != nil {
		return err
	}
	return q.view(func(tx *bolt.Tx) error {
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: the file has %d bytes and should have %d", ErrDamaged, info.Size(), tx.Size())
		}
		return nil
	})
}

// checkIndexes reads every entry of the indexes once, for the same reason.
func checkIndexes(tx *bolt.Tx) error {
	for _, name := range [][]byte{bucketReady, bucketDue, bucketAge, bucketBlocked, bucketIgnored, bucketSettling} {
		err := tx.Bucket(name).ForEach(func(k, _ []byte) error {
			if _, _, ok := splitIndexKey(k); !ok {
				return fmt.Errorf("%w: an entry of %d bytes in the index %s", ErrDamaged, len(k), name)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// isNew reports whether nothing was ever written to the database.
func isNew(tx *bolt.Tx) bool {
	first, _ := tx.Cursor().First()
	return first == nil
}

// prepare makes the database one of the present schema, and the destination known.
func (q *Queue) prepare(tx *bolt.Tx, destination string) (err error) {
	if err := migrate(tx); err != nil {
		return err
	}
	q.name, q.destination, err = makeDestination(tx, destination)
	return err
}

// Close waits for transactions under way and lets go of the file. Claims that are still open are waiting again when
// the database is opened next.
func (q *Queue) Close() error {
	q.writer.Lock()
	defer q.writer.Unlock()
	if q.broken != nil { // bbolt may have kept its own lock, for which its Close would wait
		return errors.Join(unlock(q.file), q.file.Close())
	}
	return q.db.Close()
}

// Destination is the name of the store that the index is about; "" where none was ever named.
func (q *Queue) Destination() string { return q.name }

// Ping returns nil while the database can be read.
func (q *Queue) Ping() error { return q.view(func(*bolt.Tx) error { return nil }) }

// announce wakes those who wait for something to claim.
func (q *Queue) announce() {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(q.changed)
	q.changed = make(chan struct{})
}
