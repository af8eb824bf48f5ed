package queue

import "github.com/codestory/codestoryd"

// maxNoted bounds what one transaction remembers of what it changed.
const maxNoted = 1000

// noted is a record as a transaction has left it; none where it was removed.
type noted struct {
	path string
	next record
	gone bool
}

// Observe has f told of each file whose record has changed, once that is durable and in that order; a file that nothing
// is known of any more is missing. Where one transaction changed more than can be remembered f gets the zero File at its
// end: anything may have changed. f has to be quick, and must not call the queue. Observe is called before all others.
func (q *Queue) Observe(f func(File)) { q.observer = f }

// note remembers a changed record.
func (ch *change) note(path string, next record, gone bool) {
	if len(ch.noted) < maxNoted {
		ch.noted = append(ch.noted, noted{path, next, gone})
	} else {
		ch.more = true
	}
}

// tell tells the observer what was changed.
func (q *Queue) tell(ch change) {
	if q.observer == nil {
		return
	}
	for _, n := range ch.noted {
		if n.gone {
			q.observer(File{Path: n.path, State: codestory.Missing})
			continue
		}
		q.observer(q.describe(n.path, n.next))
	}
	if ch.more {
		q.observer(File{})
	}
}
