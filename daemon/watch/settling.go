package watch

import (
	"errors"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
)

const (
	// A file that is held open is probed again after a quarter of the time in which nothing happened to it: the file
	// events that exist on every system do not report a close, and the last write usually comes just before it. A probe
	// costs some system calls, so a file that is written to all the time is probed after a hundredth of the time since
	// it began, within these bounds.
	shortestProbe = 100 * time.Microsecond
	busyProbe     = 10 * time.Millisecond
	// longestProbe bounds the time between two probes, unless so many files are held open that each gets less than
	// probeShare.
	longestProbe = 250 * time.Millisecond
	probeShare   = time.Millisecond
	// patience is how many multiples of Settle a file that is written again and again may take, if nobody has it open.
	patience = 15
	// maxRetouched is how often in a row a file is handed on at once because only its times or rights were set.
	maxRetouched = 3
	// A file that cannot be looked at, or that the sink refuses, is tried again after firstRetry, then after twice as
	// long each time.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// reasonHeld is why a file that does not change is still settling.
const reasonHeld = "held open for writing"

// settling holds the files that are not finished yet. Events add and touch them; one goroutine looks at those that are
// due. A file that was handed on stays for Settle: if it is written again so soon, it is being written in pieces.
type settling struct {
	settle time.Duration
	wake   chan struct{} // has a token if a file became due earlier than expected

	mu    sync.Mutex
	files map[string]*candidate
}

// candidate is one of the files. Its Change is what was last seen; it belongs to the goroutine that looks.
type candidate struct {
	Change
	began  time.Time     // when it began to settle
	active time.Time     // when something last happened to it: by the events, since its own times can be set
	looked time.Time     // when it was last looked at
	due    time.Time     // when to look again, or to forget it if it is done
	delay  time.Duration // after the latest error
	reason string        // why it is not finished, for people; "" while that is a matter of moments

	touched  bool               // an event came since it was last looked at
	heard    bool               // one came before that, since the look before
	mustRest bool               // it is finished only when nothing has happened for Settle
	again    bool               // a recheck was requested since it was last looked at
	done     bool               // it was handed on, and nothing has happened since
	last     *codestory.Version // what was handed on a moment ago
	row      int                // how many versions were handed on, each a moment after the one before
}

func newSettling(settle time.Duration) *settling {
	return &settling{settle: settle, wake: make(chan struct{}, 1), files: map[string]*candidate{}}
}

// touch notes an event for the file, if it is here.
func (s *settling) touch(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[name]
	if f != nil {
		s.touchFile(f)
	}
	return f != nil
}

// add lets a file settle that an event was about.
func (s *settling) add(c Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[c.Name]
	if f == nil {
		f = s.begin(c, time.Now())
	}
	s.touchFile(f)
}

// addFound lets a file settle that a scan found, and that the sink does not know. Its own times tell how long nothing
// has happened to it.
func (s *settling) addFound(c Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[c.Name]
	if f == nil {
		s.begin(c, changed(c.Version))
	} else if f.done { // the sink has forgotten it
		f.last = nil
		s.resume(f)
	}
}

// recheck lets the file settle again, even as the version that was handed on.
func (s *settling) recheck(path codestory.Path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[string(path)]
	if f == nil {
		f = s.begin(Change{Name: string(path), Path: path}, time.Now())
	}
	f.last, f.mustRest, f.again = nil, true, true
	s.touchFile(f)
}

func (s *settling) begin(c Change, active time.Time) *candidate {
	now := time.Now()
	f := &candidate{Change: c, began: now, active: active, due: now}
	s.files[c.Name] = f
	signal(s.wake)
	return f
}

// resume lets a file settle again that was done.
func (s *settling) resume(f *candidate) {
	now := time.Now()
	f.done, f.began, f.due = false, now, now
	signal(s.wake)
}

func (s *settling) touchFile(f *candidate) {
	f.touched, f.active = true, time.Now()
	if f.done {
		s.resume(f)
	} else if next := f.nextLook(); !f.mustRest && next.Before(f.due) {
		f.due = next
		signal(s.wake)
	}
}

// nextLook is when to look at a file after an event: at once, or soon if it is written to all the time.
func (f *candidate) nextLook() time.Time { return f.looked.Add(f.probePause()) }

func (f *candidate) probePause() time.Duration {
	return min(max(f.looked.Sub(f.began)/100, shortestProbe), busyProbe)
}

// changed is when the version came to be by its own times, at the latest: now if they do not say, or say the future.
func changed(v codestory.Version) time.Time {
	now := time.Now()
	if at := time.Unix(0, tickEnd(v.ChangeTime)); v.ChangeTime != 0 && at.Before(now) {
		return at
	}
	return now
}

// take returns up to limit files that are due, and how long it is until the next one is; -1 if there is none.
func (s *settling) take(limit int) (due []*candidate, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	wait = -1
	for name, f := range s.files {
		left := max(0, f.due.Sub(now))
		switch {
		case left == 0 && f.done:
			delete(s.files, name)
		case left == 0 && len(due) < limit:
			f.Again = f.Again || f.again
			f.heard, f.touched, f.again, f.looked = f.touched, false, false, now
			due = append(due, f)
		case wait < 0 || left < wait:
			wait = left
		}
	}
	return due, wait
}

// judge reports whether the file is finished, as which version. If not, it is looked at again later, or forgotten. The
// arguments are what a look found.
//
// A file is finished as soon as nobody has it open for writing. If that cannot be told, or if the file was handed on
// a moment ago and then written again, it has to rest for Settle besides.
func (s *settling) judge(f *candidate, v codestory.Version, answer writers, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch {
	case errors.Is(err, codestory.ErrNotFound), errors.Is(err, ErrDirMissing):
		if f.touched {
			f.due = now // it may be back
		} else {
			delete(s.files, f.Name)
		}
		return false
	case err != nil:
		s.retry(f, err.Error())
		return false
	case f.last != nil && *f.last == v:
		s.finish(f)
		return false
	}
	if v != f.Version && !f.heard {
		f.active = now
	}
	f.Version, f.delay, f.reason = v, 0, ""
	if answer == writersSome {
		f.reason = reasonHeld
		f.due = now.Add(s.probeAfter(f))
		if next := f.nextLook(); f.touched && next.Before(f.due) {
			f.due = next
		}
		return false
	}
	f.mustRest = f.mustRest || answer == writersUnknown || f.last != nil && !f.retouched()
	rested := f.active.Add(s.settle)
	overdue := answer == writersNone && now.Sub(f.began) >= patience*s.settle
	if f.mustRest && now.Before(rested) && !overdue {
		f.due = rested
		return false
	}
	return true
}

// retouched reports whether the file is what was handed on with its times or rights set, as most tools that copy do
// right after they close a file. One that is rewritten and gets its old time back looks the same.
func (f *candidate) retouched() bool {
	v, last := f.Version, *f.last
	set := v.ModTime == last.ModTime || v.ModTime != v.ChangeTime
	return set && v.Size == last.Size && v.Inode == last.Inode && f.row <= maxRetouched
}

// probeAfter is how long to wait before a file is probed again that is held open.
func (s *settling) probeAfter(f *candidate) time.Duration {
	longest := max(longestProbe, time.Duration(len(s.files))*probeShare)
	return max(min(f.looked.Sub(f.active)/4, longest), f.probePause())
}

// retry has the file looked at again, ever more rarely.
func (s *settling) retry(f *candidate, reason string) {
	f.delay = min(max(2*f.delay, firstRetry), lastRetry)
	f.due, f.reason = time.Now().Add(f.delay), reason
}

// refused has files tried again that the sink did not take.
func (s *settling) refused(files []*candidate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range files {
		s.retry(f, "")
	}
}

// taken notes that the sink has the files, as they were judged.
func (s *settling) taken(files []*candidate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range files {
		if version := f.Version; !f.again {
			f.last, f.mustRest, f.Again = &version, false, false
			f.row++
		}
		s.finish(f)
	}
}

// finish ends the file's settling, unless an event came since it was looked at.
func (s *settling) finish(f *candidate) {
	f.reason, f.delay = "", 0
	if f.touched {
		s.resume(f)
		return
	}
	f.done, f.due = true, time.Now().Add(s.settle)
}

// ofStory returns the files of the story that settle, with the reasons for people; "" if it is a matter of moments.
func (s *settling) ofStory(story codestory.StoryID) map[codestory.Path]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	reasons := map[codestory.Path]string{}
	for _, f := range s.files {
		if !f.done && f.Path != "" && f.Path.Story() == story {
			reasons[f.Path] = f.reason
		}
	}
	return reasons
}

// len is the number of files that settle.
func (s *settling) len() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if !f.done {
			n++
		}
	}
	return n
}
