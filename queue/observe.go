package queue

import "github.com/codestory/codestoryd"

// maxNoted bounds what one transaction remembers of what it changed.
const maxNoted = 1000

// noted is a record as a transaction has left it; none where it was removed.
type noted struct {
	path  string
	next  record
	gone  bool
	heard bool // the record is as it was, and what its file says of itself has been saved
}

// Observe has f told of each file whose record has changed, or of which a Sound was saved, once that is durable and in that order; a file that nothing
// is known of any more is missing. Where one transaction changed more than can be remembered f gets the zero File at its
// end: anything may have changed. f has to be quick, and must not call the queue. Observe is called before all others.
func (q *Queue) Observe(f func(File)) { q.observer = f }

// note remembers a changed record.
func (ch *change) note(path string, next record, gone bool) {
	if len(ch.noted) < maxNoted {
		ch.noted = append(ch.noted, noted{path: path, next: next, gone: gone})
	} else {
		ch.more = true
	}
}

// noteSound remembers a file that was read.
func (ch *change) noteSound(path string, r record) {
	if len(ch.noted) < maxNoted {
		ch.noted = append(ch.noted, noted{path: path, next: r, heard: true})
	} else {
		ch.more = true
	}
}

// tell tells the observer what was changed.
func (q *Queue) tell(ch *change) {
	if q.observer == nil {
		return
	}
	for _, n := range ch.noted {
		if n.gone {
			q.observer(File{Path: n.path, State: codestory.Missing})
			continue
		}
		files := []File{q.describe(n.path, n.next)}
		if n.heard { // perhaps while it is being uploaded
			q.markUploading(files)
		}
		q.observer(files[0])
	}
	if ch.more {
		q.observer(File{})
	}
}
