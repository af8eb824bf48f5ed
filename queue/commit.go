package queue

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd/internal/atomicfile"
)

// call is one change that waits to be committed.
type call struct {
	fn   func(*change) error
	turn chan bool // says once whether it is to lead; else it is done, and err is set
	err  error
}

// change is a write transaction with what it does to the counts, and to what is kept beside the database.
type change struct {
	tx          *bolt.Tx
	name        string // of the destination
	destination uint64
	epoch       int
	counts      counts
	kept        []kept

	noted []noted
	more  bool // was changed than is noted
}

// commit runs fn in a write transaction and returns once it is durable. Calls that come while another transaction is
// being synced share the next one: no call waits for a timer, and many writers pay for one sync together. fn may run
// more than once.
func (q *Queue) commit(fn func(*change) error) error {
	c := &call{fn: fn, turn: make(chan bool, 1)}
	q.pending.Lock()
	q.pending.calls = append(q.pending.calls, c)
	leads := !q.pending.led
	q.pending.led = true
	q.pending.Unlock()
	if leads || <-c.turn {
		q.lead()
	}
	return c.err
}

// lead commits all calls that wait, the caller's among them, and lets the first of those that came meanwhile lead the
// next. Each call is woken once: were they all to ask for the lock in turn, thousands would do little else.
func (q *Queue) lead() {
	batch := q.commitPending()
	q.pending.Lock()
	q.pending.crowd = len(batch) > 1
	var next *call
	if len(q.pending.calls) > 0 {
		next = q.pending.calls[0]
	}
	q.pending.led = next != nil
	q.pending.Unlock()
	for _, c := range batch {
		c.turn <- false // the leader does not listen
	}
	if next != nil {
		next.turn <- true
	}
}

func (q *Queue) commitPending() (batch []*call) {
	q.writer.Lock()
	defer q.writer.Unlock()
	q.pending.Lock()
	crowd := q.pending.crowd
	q.pending.Unlock()
	if crowd {
		runtime.Gosched() // who was just woken may have more
	}
	q.pending.Lock()
	batch = q.pending.calls
	q.pending.calls = nil
	q.pending.Unlock()

	err := q.transact(batch)
	for _, c := range batch {
		c.err = err
		if err != nil && len(batch) > 1 { // one call's fault is not the others'
			c.err = q.transact([]*call{c})
		}
	}
	return batch
}

// transact runs the calls in one transaction. The caller holds q.writer. Once one has met damage no other begins: it
// would add to it, or wait for a lock that bbolt kept when it panicked.
func (q *Queue) transact(batch []*call) error {
	if q.broken != nil {
		return q.broken
	}
	q.writes++
	var ch change
	var refused error // by a call, for a reason of its own
	err := guard(func() error {
		return q.db.Update(func(tx *bolt.Tx) error {
			ch = change{tx: tx, name: q.name, destination: q.destination, epoch: q.epoch}
			for _, c := range batch {
				if refused = c.fn(&ch); refused != nil {
					return refused
				}
			}
			return q.finish(&ch)
		})
	})
	if err != nil {
		if len(ch.kept) > 0 {
			q.kept.close() // it may say what was not committed: the next writes it anew
		}
		err = fmt.Errorf("writing the database: %w", atomicfile.Explain(err))
		if errors.Is(err, ErrDamaged) {
			q.broken = err
		} else if refused == nil {
			q.trouble.set(err)
		}
		return q.noticed(err)
	}
	q.recovered()
	q.records.forget(ch)
	q.tell(ch)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.counts.sum(ch.counts)
	return nil
}

// finish writes what follows from the calls of a transaction, before it is committed.
func (q *Queue) finish(ch *change) error {
	if ch.counts != (counts{}) {
		q.mu.Lock()
		next := q.counts
		q.mu.Unlock()
		next.sum(ch.counts)
		if err := ch.tx.Bucket(bucketMeta).Put(keyCounts, next.encode(ch.destination)); err != nil {
			return err
		}
	}
	if len(ch.kept) == 0 {
		return nil
	}
	return q.kept.append(ch.kept, func() (map[keptKey]kept, error) { return gather(ch.tx) })
}

func (q *Queue) view(fn func(*bolt.Tx) error) error {
	q.swap.RLock()
	defer q.swap.RUnlock()
	if q.db == nil {
		return q.damage.get()
	}
	return q.noticed(guard(func() error {
		if err := checkBegin(q.file, q.db); err != nil {
			return err
		}
		return q.db.View(fn)
	}))
}

// guard makes a fault or panic over a damaged file an error. bbolt checks little of what it reads, and a page that is
// noise, or past the end of the file, shows as either.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return fn()
}
