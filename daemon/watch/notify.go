package watch

import (
	"errors"
	"runtime"
	"sync"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// notifier tells of changes in the directories that it was given. It is fsnotify's watcher; a test may put faults in
// between.
type notifier interface {
	Add(dir string) error
	Remove(dir string) error
	Events() <-chan fsnotify.Event
	Errors() <-chan error
	Close() error
}

type fsnotifier struct{ *fsnotify.Watcher }

func (n fsnotifier) Events() <-chan fsnotify.Event { return n.Watcher.Events }
func (n fsnotifier) Errors() <-chan error          { return n.Watcher.Errors }

func openNotifier() (notifier, error) {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return fsnotifier{n}, nil
}

// maxInbox is how many events may wait to be looked at. Beyond that they are lost, and the scan makes up for it.
const maxInbox = 1 << 16

var errEventsEnded = errors.New("the system's file events ended")

// inbox takes events from the notifier as fast as it has them: it holds its locks while it waits to be rid of one, so
// whoever adds or removes a directory must not be the one to receive. The zero value is not usable.
type inbox struct {
	ready chan struct{} // holds a token while there is something to take

	mu     sync.Mutex
	events []fsnotify.Event
	fault  error // events may have been lost; the latest reason
	ended  bool
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

// pump fills the inbox until n is closed.
func (b *inbox) pump(n notifier) {
	events, faults := n.Events(), n.Errors()
	for events != nil {
		select {
		case event, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			b.put(event)
		case err, ok := <-faults:
			if !ok {
				faults = nil
				continue
			}
			b.putFault(err)
		}
	}
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	signal(b.ready)
}

func (b *inbox) put(event fsnotify.Event) {
	b.mu.Lock()
	if len(b.events) < maxInbox {
		b.events = append(b.events, event)
	} else {
		b.fault = fsnotify.ErrEventOverflow
	}
	b.mu.Unlock()
	signal(b.ready)
}

func (b *inbox) putFault(err error) {
	if runtime.GOOS == "linux" && errors.Is(err, syscall.EINVAL) {
		return // it let go of a watch that the kernel had dropped already, with its directory
	}
	b.mu.Lock()
	b.fault = err
	b.mu.Unlock()
	signal(b.ready)
}

// take empties the inbox. fault says that events were lost besides; errEventsEnded that there will be no more.
func (b *inbox) take() (events []fsnotify.Event, fault error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	events, fault = b.events, b.fault
	b.events, b.fault = nil, nil
	if b.ended {
		fault = errEventsEnded
	}
	return events, fault
}

// signal leaves a token in a channel that has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// dirQueue holds the names of directories that are to be read, each once.
type dirQueue struct {
	ready chan struct{} // holds a token while there is something to take

	mu     sync.Mutex
	names  []string
	queued map[string]bool
}

func newDirQueue() *dirQueue {
	return &dirQueue{ready: make(chan struct{}, 1), queued: make(map[string]bool)}
}

func (q *dirQueue) put(name string) {
	q.mu.Lock()
	if !q.queued[name] {
		q.queued[name] = true
		q.names = append(q.names, name)
	}
	q.mu.Unlock()
	signal(q.ready)
}

func (q *dirQueue) take() (name string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.names) == 0 {
		return "", false
	}
	name = q.names[0]
	q.names = q.names[1:]
	delete(q.queued, name)
	return name, true
}
