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
// The words at what leaves "claimed" are kinds of Outcome. A person may make what waits ignored (Drop), until Enqueue brings a new version, and what is retrying or blocked
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
// Damage is an error, ErrDamaged, of whatever meets it, and then of Run: close the queue and open it again with that error
// in Options.After. See queue/db.
package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/wait"
	"github.com/codestory/codestoryd/queue/db"
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
	bucketSettling     = []byte("settling")     // time, path → ""; what has to settle again
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
	bucketAudio        = []byte("audio")        // path → soundEntry
	bucketFaulty       = []byte("faulty")       // path → ""; those with faults
	bucketOdd          = []byte("odd")          // path → ""; files with a note, see odd.go
)

// layout is the database's. Its schema is what this program writes and reads.
var layout = db.Layout{Schema: 1, Buckets: [][]byte{
	bucketMeta, bucketFiles, bucketReady, bucketDue, bucketAge, bucketBlocked, bucketIgnored, bucketSettling, bucketMoved,
	bucketLedger, bucketStories, bucketNewest, bucketDestinations, bucketFound, bucketForms, bucketRemovals,
	bucketUnanswered, bucketAudio, bucketFaulty, bucketOdd, bucketOwners,
}}

var (
	// ErrLocked: another process has the database open.
	ErrLocked = db.ErrLocked
	// ErrEmpty: nothing was ever written to the database, and it was opened read-only.
	ErrEmpty = db.ErrEmpty
	// ErrDamaged: the file is not a database of this program, or not a whole one.
	ErrDamaged = db.ErrDamaged
)

// Options are the optional parts of Open.
type Options = db.Options

// Queue is an open database. All methods may be called concurrently.
type Queue struct {
	db          *db.DB
	name        string // of the destination
	destination uint64 // its number; 0 if there is none
	observer    func(File)

	// mu guards what follows. A transaction may begin while it is held, and waits then for those under way if the
	// database grows: so it must not be locked inside one that reads.
	mu       sync.Mutex
	recovery *Recovery // nil if the database was never lost
	claimed  map[string]*Claim
	deferred map[string]deferral

	changed wait.Broadcast // there may be something new to claim
}

// Open opens the database, and makes it if there is none, unless it is opened read-only. destination names the store
// that the caller uploads to (remote.Info.Destination): what the index knows of other stores counts as not uploaded. ""
// is the one that was named last. For the errors see db.Open.
func Open(path, destination string, opts Options) (*Queue, error) {
	file, err := db.Open(path, layout, opts)
	if err != nil {
		return nil, err
	}
	q := &Queue{
		db: file, claimed: map[string]*Claim{}, deferred: map[string]deferral{},
	}
	if err = q.noteRecovery(); err == nil {
		err = q.choose(destination, opts.ReadOnly)
	}
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return q, nil
}

// CheckMain is the process that checks the database at path: see db.CheckMain.
func CheckMain(path string, stdin io.Reader, stderr io.Writer) (exitCode int) {
	return db.CheckMain(path, layout, stdin, stderr)
}

// CheckWith makes an Options.Check of a command that calls CheckMain.
func CheckWith(command func(ctx context.Context, path string) *exec.Cmd) func(ctx context.Context, path string) error {
	return func(ctx context.Context, path string) error { return db.CheckWith(ctx, path, command) }
}

// Run maintains the database until ctx ends or it is damaged, which is the error: see db.DB.Run.
func (q *Queue) Run(ctx context.Context) error { return q.db.Run(ctx) }

// Backup backs the database up now: see db.DB.Backup.
func (q *Queue) Backup(ctx context.Context) error { return q.db.Backup(ctx) }

// Close waits for transactions under way and closes the file. Claims that are still open are waiting again when the
// database is opened next.
func (q *Queue) Close() error { return q.db.Close() }

// Path is where the database is.
func (q *Queue) Path() string { return q.db.Path() }

// Destination is the name of the store that the index is about; "" if none was ever named.
func (q *Queue) Destination() string { return q.name }

// Damage is the first damage that anything met; nil if there was none.
func (q *Queue) Damage() error { return q.db.Damage() }

// Ping returns nil while the database can be read.
func (q *Queue) Ping() error { return q.view(func(*db.Tx) error { return nil }) }

func (q *Queue) view(fn func(*db.Tx) error) error { return q.db.View(fn) }

// change is what one call does in a write transaction.
type change struct {
	tx          *db.Tx
	destination uint64
	counts      counts
	asked       bool // by a person, or not to be found out again: it is backed up soon

	noted []noted
	more  bool // was changed than is noted
}

// commit runs fn in a write transaction, which it may share with others, and returns once it is durable. fn may run more
// than once.
func (q *Queue) commit(fn func(*change) error) error {
	var done *change
	err := q.db.Batch(func(tx *db.Tx) error {
		ch := &change{tx: tx, destination: q.destination}
		if err := fn(ch); err != nil {
			return err
		}
		tx.OnCommit(func() { q.tell(ch) })
		done = ch
		return ch.saveCounts()
	})
	if err == nil && done.asked {
		q.db.BackupSoon()
	}
	return err
}

// Recovery says how the database was lost, and where the present one comes from. The caller finds the files in the
// output directory and enqueues them; what the store has of them it can ask the store (Claim.MayExist).
type Recovery struct {
	At     time.Time `json:"at"`
	Aside  string    `json:"aside,omitempty"`  // where the damaged one is; "" if it was not there
	Reason string    `json:"reason,omitempty"` // what was wrong with it
	Backup time.Time `json:"backup,omitzero"`  // when the backup was made that was taken; zero for an empty database
	Listed bool      `json:"listed,omitempty"` // the store was asked what it has; see NoteListed
	Now    bool      `json:"-"`                // by this Open
}

var keyRecovery = []byte("recovery") // a Recovery as JSON

// noteRecovery reads how the database was lost, or writes down that it just was.
func (q *Queue) noteRecovery() error {
	opened := q.db.Opened()
	if opened.New && (opened.Lost || !opened.Backup.IsZero()) {
		return q.saveRecovery(Recovery{
			At: time.Now().UTC().Round(0), Aside: opened.Aside, Reason: opened.Reason, Backup: opened.Backup, Now: true,
		})
	}
	return q.view(func(tx *db.Tx) error {
		text := tx.Bucket(bucketMeta).Get(keyRecovery)
		if text == nil {
			return nil
		}
		q.recovery = new(Recovery)
		if err := json.Unmarshal(text, q.recovery); err != nil {
			return fmt.Errorf("%w: the note of a recovery does not decode: %w", ErrDamaged, err)
		}
		return nil
	})
}

func (q *Queue) saveRecovery(r Recovery) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding the note of a recovery: %w", err)
	}
	err = q.commit(func(ch *change) error { return ch.tx.Bucket(bucketMeta).Put(keyRecovery, text) })
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.recovery = &r
	return nil
}

// Recovery returns how the database was lost last; nil if it never was.
func (q *Queue) Recovery() *Recovery {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.recovery
}

// NoteListed records that the store was asked for all that it has, so that it is not asked again.
func (q *Queue) NoteListed() error {
	r := q.Recovery()
	if r == nil {
		return nil
	}
	listed := *r
	listed.Listed = true
	return q.saveRecovery(listed)
}

// mayHave reports whether the store may have this version without the index knowing: it is older than the recovery.
func (r *Recovery) mayHave(v codestory.Version) bool {
	return r != nil && max(v.ChangeTime, v.ModTime) <= r.At.UnixNano()
}

// Asides lists the damaged databases that are still there, the oldest first.
func (q *Queue) Asides() []string { return db.Asides(q.Path()) }

// announce wakes those who wait for something to claim.
func (q *Queue) announce() { q.changed.Announce() }

// databaseDelays spaces the attempts to use a database that fails, as on a full disk.
var databaseDelays = wait.Backoff{First: time.Second, Most: 15 * time.Second}

// RetryDB calls f until it succeeds, ctx ends or the database is damaged.
func RetryDB(ctx context.Context, f func() error) error {
	for failures := 1; ; failures++ {
		err := f()
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrDamaged) {
			return err
		}
		if !wait.Sleep(ctx, databaseDelays.After(failures)) {
			return ctx.Err()
		}
	}
}
