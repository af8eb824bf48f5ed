package queue

import "sync"

// maxRecords bounds the records that are remembered.
const maxRecords = 4096

// records remembers those that were read of late: each link and each range that plays asks for one.
type records struct {
	mu      sync.Mutex
	known   map[string]record
	changes uint64 // counts what was forgotten, so that nothing is remembered that was read before
}

// get is the record of the path, where it is remembered. What is read instead may be put, with changes.
func (m *records) get(path string) (r record, ok bool, changes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok = m.known[path]
	return r, ok, m.changes
}

// put remembers a record that was read after get.
func (m *records) put(path string, r record, changes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changes != changes {
		return
	}
	if m.known == nil || len(m.known) >= maxRecords {
		m.known = map[string]record{}
	}
	m.known[path] = r
}

// forget forgets what a transaction has changed.
func (m *records) forget(ch change) {
	if len(ch.noted) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes++
	if ch.more {
		m.known = nil
	}
	for _, n := range ch.noted {
		delete(m.known, n.path)
	}
}

// reset forgets all, as of a database that was lost.
func (m *records) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes++
	m.known = nil
}
