package db

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/atomicfile"
	"github.com/codestory/codestoryd/internal/disk"
)

// View runs fn in a read transaction.
func (d *DB) View(fn func(*Tx) error) error {
	if err := d.Damage(); err != nil {
		return err
	}
	err := d.guard(func() error {
		if err := checkBegin(d.file, d.bolt); err != nil {
			return err
		}
		return d.bolt.View(func(tx *bolt.Tx) error { return run(tx, fn) })
	})
	return d.met(err)
}

// run runs fn, and prefers the damage that it met over what it returns.
func run(tx *bolt.Tx, fn func(*Tx) error) error {
	t := &Tx{bolt: tx}
	err := fn(t)
	if t.damage != nil {
		return t.damage
	}
	return err
}

// call is one change that waits to be committed.
type call struct {
	fn   func(*Tx) error
	turn chan bool // says once whether it is to lead; else it is done, and err is set
	err  error
}

// Batch runs fn in a write transaction and returns once it is durable. Calls that come while another transaction is
// being synced share the next one: no call waits for a timer, and many writers pay for one sync together. fn may run
// more than once, and an error of one call is not that of the others.
func (d *DB) Batch(fn func(*Tx) error) error {
	c := &call{fn: fn, turn: make(chan bool, 1)}
	d.mu.Lock()
	d.calls = append(d.calls, c)
	leads := !d.led
	d.led = true
	d.mu.Unlock()
	if leads || <-c.turn {
		d.lead()
	}
	return c.err
}

// lead commits all calls that wait, the caller's among them, and lets the first of those that came meanwhile lead the
// next. Each call is woken once: were they all to ask for the lock in turn, thousands would do little else.
func (d *DB) lead() {
	batch := d.commitCalls()
	d.mu.Lock()
	d.crowd = len(batch) > 1
	var next *call
	if len(d.calls) > 0 {
		next = d.calls[0]
	}
	d.led = next != nil
	d.mu.Unlock()
	for _, c := range batch {
		c.turn <- false // the leader does not listen
	}
	if next != nil {
		next.turn <- true
	}
}

func (d *DB) commitCalls() (batch []*call) {
	d.writer.Lock()
	defer d.writer.Unlock()
	d.mu.Lock()
	crowd := d.crowd
	d.mu.Unlock()
	if crowd {
		runtime.Gosched() // who was just woken may have more
	}
	d.mu.Lock()
	batch = d.calls
	d.calls = nil
	d.mu.Unlock()

	err := d.transact(batch)
	for _, c := range batch {
		c.err = err
		if err != nil && len(batch) > 1 {
			c.err = d.transact([]*call{c})
		}
	}
	return batch
}

// transact runs the calls in one transaction. The caller holds d.writer. Once damage was met no transaction begins: it
// would add to it, or wait for a lock that bbolt kept when it panicked.
func (d *DB) transact(batch []*call) error {
	if err := d.Damage(); err != nil {
		return err
	}
	var refused error // by a call, for a reason of its own
	err := d.guard(func() error {
		return d.bolt.Update(func(tx *bolt.Tx) error {
			return run(tx, func(tx *Tx) error {
				for _, c := range batch {
					if refused = c.fn(tx); refused != nil {
						return refused
					}
				}
				return nil
			})
		})
	})
	switch {
	case err == nil:
		d.wrote()
		return nil
	case refused == nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, berrors.ErrDatabaseNotOpen):
		d.writeFailed(atomicfile.Explain(err))
	}
	return d.met(fmt.Errorf("writing the database: %w", atomicfile.Explain(err)))
}

// guard makes a fault or panic over a damaged file an error. bbolt checks little of what it reads, and a page that is
// noise, or past the end of the file, shows as either.
func (d *DB) guard(fn func() error) error {
	panicked, err := guarded(fn)
	if panicked {
		d.mu.Lock()
		d.stuck = true
		d.mu.Unlock()
	}
	return err
}

func guarded(fn func() error) (panicked bool, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			panicked, err = true, fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return false, fn()
}

// enoughRoom is how many bytes of a disk have to be free before it counts as not full any more. A small write may
// succeed in pages of the database that are free, and the next one fail.
const enoughRoom = 1 << 20

// The problems that writing may have.
const (
	problemDiskFull = "disk_full"
	problemFailing  = "database_failing"
)

// writeFailed reports that the database cannot be written. Nothing is lost by that: what could not be written was not
// acknowledged.
func (d *DB) writeFailed(err error) {
	d.mu.Lock()
	d.failing = true
	d.mu.Unlock()
	p := codestory.Problem{Code: problemFailing, Severity: codestory.SeverityError,
		Message: fmt.Sprintf("the database cannot be written: %v; nothing is lost, and it is tried again", err)}
	if errors.Is(err, codestory.ErrDiskFull) {
		p.Code, p.Message = problemDiskFull, fmt.Sprintf(
			"disk full: free some space on the disk of the data directory %s; nothing is lost, and uploads resume automatically",
			filepath.Dir(d.path))
	}
	d.report(p)
}

func (d *DB) report(p codestory.Problem) {
	if d.opts.Problems != nil {
		d.opts.Problems.Report(p)
	}
}

func (d *DB) clear(code string) {
	if d.opts.Problems != nil {
		d.opts.Problems.Clear(code)
	}
}

// wrote notes a write that succeeded.
func (d *DB) wrote() {
	d.mu.Lock()
	d.writes++
	failing := d.failing
	d.mu.Unlock()
	if !failing {
		return
	}
	if room, known := disk.Room(filepath.Dir(d.path)); known && room < enoughRoom {
		return
	}
	d.mu.Lock()
	d.failing = false
	d.mu.Unlock()
	d.clear(problemDiskFull)
	d.clear(problemFailing)
}

// probe writes what is there already after a write failed, so that it is known before anybody needs it whether the
// database can be written again.
func (d *DB) probe() {
	d.mu.Lock()
	failing := d.failing
	d.mu.Unlock()
	if failing {
		_ = d.Batch(func(tx *Tx) error { return putSchema(tx, d.layout) })
	}
}
