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
//
// Damage is an error, ErrDamaged, of whatever meets it. Options.Rebuild sets a damaged database aside and begins a new
// one, with what is kept beside the database for that: see kept.go and rebuild.go.
package queue

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The buckets. Keys of files and stories are paths and story ids as they are.
var (
	bucketMeta         = []byte("meta")         // see the keys' own comments
	bucketFiles        = []byte("files")        // path → record
	bucketReady        = []byte("ready")        // order, path → ""; what may be claimed, first the most urgent
	bucketDue          = []byte("due")          // time, path → ""; what waits for its next attempt
	bucketAge          = []byte("age")          // time, path → ""; all of both, the longest waiting first
	bucketBlocked      = []byte("blocked")      // time, path → ""; what waits for a person, the longest first
	bucketIgnored      = []byte("ignored")      // time, path → ""; what a person has dropped
	bucketSettling     = []byte("settling")     // time, path → ""; what has to settle anew
	bucketMoved        = []byte("moved")        // hash of a version, path → ""; the files that are stored, see moved.go
	bucketLedger       = []byte("ledger")       // path, generation → destination, state of an upload in parts
	bucketStories      = []byte("stories")      // story id → Story as JSON
	bucketNewest       = []byte("newest")       // inverted creation time, story id → Text of its owner
	bucketOwners       = []byte("owners")       // story id → ownership as JSON
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
	// Rebuild sets a damaged database aside, see Rebuilt, where Open would otherwise fail and leave it as it is.
	Rebuild bool

	check     bool // however large it is
	unchecked bool // by a test
}

// Queue is an open database. All methods may be called at the same time.
type Queue struct {
	path string

	// swap guards what follows: it is held to read for a look at the database, to write where another takes its place,
	// which whoever holds writer may do.
	swap        sync.RWMutex
	db          *bolt.DB // nil while a damaged one has not been replaced yet
	file        *os.File // of db
	name        string   // of the destination
	destination uint64   // its number; 0 where there is none
	rebuilt     *Rebuilt
	checked     bool // when it was opened
	epoch       int  // counts the databases that were lost under us

	observer func(File) // nil for none
	records  records

	writer  sync.Mutex // held for a write transaction
	kept    keptFile   // guarded by writer
	broken  error      // the damage that a write transaction met; guarded by writer
	writes  int        // transactions that were begun; guarded by writer
	looked  look       // by Touched; guarded by writer
	pending struct {
		sync.Mutex
		calls []*call
		led   bool // a call commits them, or is about to
		crowd bool // it was more than one the last time
	}
	damage  damage
	trouble trouble

	// mu guards all below. A transaction may begin while it is held, and waits then for those under way where the
	// database grows: so it must not be asked for inside one that reads. It comes after writer and before swap.
	mu       sync.Mutex
	claimed  map[string]*Claim
	deferred map[string]deferral
	counts   counts
	changed  chan struct{} // closed, and replaced, when there may be something new to claim
	awaited  bool          // somebody has changed, and may wait for it
}

// Open opens the database, made if absent unless it is opened read-only. destination names the store that the caller
// uploads to (remote.Info.Destination): what the index knows of other stores counts as not uploaded. "" is the one that
// was named last. The error wraps ErrLocked, naming the process that has the database open, or ErrDamaged.
func Open(path, destination string, opts Options) (*Queue, error) {
	if opts.Timeout == 0 {
		opts.Timeout = time.Second
	}
	return openOrRebuild(path, destination, opts, nil)
}

// openOrRebuild is Open; lost is what Rebuilt is to say of a database that was set aside before.
func openOrRebuild(path, destination string, opts Options, lost *Rebuilt) (*Queue, error) {
	q, err := open(path, destination, opts, lost)
	if !opts.Rebuild || opts.ReadOnly || !errors.Is(err, ErrDamaged) {
		return q, err
	}
	lost, asideErr := setAside(path, err)
	if asideErr != nil {
		return nil, fmt.Errorf("%w; %w", err, asideErr)
	}
	return open(path, destination, opts, lost)
}

// open opens what is there, and sets nothing aside.
func open(path, destination string, opts Options, lost *Rebuilt) (*Queue, error) {
	q := &Queue{
		path:    path,
		kept:    keptFile{path: path + keptSuffix},
		claimed: map[string]*Claim{}, deferred: map[string]deferral{}, changed: make(chan struct{}),
	}
	q.damage.reset()
	var err error
	if q.db, q.file, err = openFile(path, opts); err != nil {
		return nil, openError(path, err)
	}
	if err := q.load(destination, opts, lost); err != nil {
		_ = q.Close()
		return nil, openError(path, err)
	}
	return q, nil
}

// load looks at what is there, and only then makes what is absent: a file that is refused stays as it is, byte for byte.
func (q *Queue) load(destination string, opts Options, lost *Rebuilt) error {
	readOnly := opts.ReadOnly
	if err := checkFile(q.file); err != nil {
		return err
	}
	fresh, old := false, false
	err := q.view(func(tx *bolt.Tx) (err error) {
		if fresh = isNew(tx); fresh {
			return nil
		}
		old, err = checkSchema(tx)
		return err
	})
	switch {
	case err != nil:
		return err
	case fresh && readOnly:
		return ErrEmpty
	case fresh:
		err = q.create(lost)
		q.checked = true
	case (q.small() || old || opts.check) && !opts.unchecked:
		err = q.Check()
		q.checked = true
	}
	if err == nil && old && !readOnly {
		err = q.migrate()
	}
	if err == nil {
		err = q.choose(destination, readOnly)
	}
	if err == nil && !readOnly {
		_ = os.Remove(q.path + compactSuffix) // of a process that was killed
		err = q.keepUp()
	}
	if err != nil {
		return err
	}
	return q.view(func(tx *bolt.Tx) error {
		if q.rebuilt = readRebuilt(tx); q.rebuilt != nil {
			q.rebuilt.Now = fresh
		}
		return nil
	})
}

// Close waits for transactions under way and lets go of the file. Claims that are still open are waiting again when
// the database is opened next.
func (q *Queue) Close() error {
	q.writer.Lock()
	defer q.writer.Unlock()
	q.kept.close()
	return q.closeDatabase()
}

// closeDatabase is Close for who holds writer.
func (q *Queue) closeDatabase() error {
	switch {
	case q.db == nil:
		return nil
	case q.broken != nil: // bbolt may have kept its own lock, for which its Close would wait
		return errors.Join(unlock(q.file), q.file.Close())
	default:
		return q.db.Close()
	}
}

// Path is where the database is.
func (q *Queue) Path() string { return q.path }

// Destination is the name of the store that the index is about; "" where none was ever named.
func (q *Queue) Destination() string {
	q.swap.RLock()
	defer q.swap.RUnlock()
	return q.name
}

// Ping returns nil while the database can be read.
func (q *Queue) Ping() error { return q.view(func(*bolt.Tx) error { return nil }) }

// announce wakes those who wait for something to claim.
func (q *Queue) announce() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.awaited {
		close(q.changed)
		q.changed, q.awaited = make(chan struct{}), false
	}
}
