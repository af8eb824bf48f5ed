package atomicfile

import (
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/problem"
)

// FollowOptions are what Open needs to know of the files.
type FollowOptions struct {
	Paths    []string
	Every    time.Duration // the least time between two looks at the disk
	Problems *problem.Set
	Code     string // of the problem while the files cannot be read again
	Message  string // goes before the error in that problem
}

// Followed is what files hold, read again when they or the rights to them change. While they cannot be read, what they
// held before stays in force. All methods may be called concurrently.
type Followed[T any] struct {
	opts FollowOptions
	read func(old T) (T, error)

	looking sync.Mutex // held by the one caller that looks
	files   *Follower
	tried   time.Time
	failing bool

	mu    sync.RWMutex // guards value
	value T
}

// Open reads the files, and returns the error of that. read gets what they held before, at first the zero value.
func Open[T any](opts FollowOptions, read func(old T) (T, error)) (*Followed[T], error) {
	f := &Followed[T]{opts: opts, read: read, files: Follow(opts.Every, opts.Paths...), tried: time.Now()}
	f.files.Changed()
	var err error
	f.value, err = read(f.value)
	return f, err
}

// Now returns what is in force, without a look at the disk.
func (f *Followed[T]) Now() T {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.value
}

// Look reads the files again if they changed, or failed to be read before: what mends that, such as other rights, may
// leave their times alone. It reports whether they were read. Only one caller at a time looks; others get what is in force.
func (f *Followed[T]) Look() (value T, read bool) {
	if !f.looking.TryLock() {
		return f.Now(), false
	}
	defer f.looking.Unlock()
	if !f.files.Changed() && !(f.failing && time.Since(f.tried) >= f.opts.Every) {
		return f.Now(), false
	}
	f.tried = time.Now()
	value, err := f.read(f.Now())
	f.failing = err != nil
	if err != nil {
		f.opts.Problems.Report(codestory.Problem{Code: f.opts.Code, Message: f.opts.Message + err.Error()})
		return f.Now(), false
	}
	f.opts.Problems.Clear(f.opts.Code)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.value = value
	return value, true
}
