package queuetest

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// reference is the queue as plain maps: what it should answer, without indexes, transactions or a disk.
type reference struct {
	destination string
	paused      bool
	files       map[string]*entry
	stories     map[codestory.StoryID]*queue.Story
}

// entry is what the reference knows of one path.
type entry struct {
	state      codestory.FileState // Uploading is told by claimed, Missing by object
	claimed    bool
	generation int // how many versions were accepted
	version    codestory.Version
	since, due time.Time
	place      time.Time // among those that wait, the earliest first
	attempt    int
	reason     string
	note       string
	object     *object
}

// object is what was last put for a path, and where.
type object struct {
	destination string
	stored      queue.Stored
}

func newReference(destination string) *reference {
	return &reference{
		destination: destination,
		files:       map[string]*entry{},
		stories:     map[codestory.StoryID]*queue.Story{},
	}
}

// reopen forgets what is not on disk: the claims.
func (r *reference) reopen(destination string) {
	r.destination = destination
	for _, e := range r.files {
		e.claimed = false
	}
}

// clone is a copy that nothing is shared with but what is never changed.
func (r *reference) clone() *reference {
	c := &reference{r.destination, r.paused, map[string]*entry{}, map[codestory.StoryID]*queue.Story{}}
	for path, e := range r.files {
		c.files[path] = new(*e)
	}
	for id, s := range r.stories {
		c.stories[id] = new(*s)
	}
	return c
}

func (r *reference) here(e *entry) *queue.Stored {
	if e.object == nil || e.object.destination != r.destination {
		return nil
	}
	return &e.object.stored
}

func (r *reference) known(path string, v codestory.Version) bool {
	e := r.files[path]
	if e == nil || e.version != v || e.state == codestory.Settling {
		return false
	}
	return e.state != codestory.Synced || r.here(e) != nil
}

func (r *reference) enqueue(c queue.Change, now time.Time) {
	if r.known(c.Path, c.Version) {
		r.adopt(codestory.Path(c.Path).Story(), c.Metadata, now)
		return
	}
	e := r.files[c.Path]
	if e == nil {
		e = &entry{}
		r.files[c.Path] = e
	}
	if e.state != codestory.Queued && e.state != codestory.Retrying {
		e.since = now
	}
	e.state, e.reason = codestory.Queued, ""
	if c.Fault != "" {
		e.state, e.reason = codestory.Blocked, c.Fault
	}
	e.generation++
	e.version, e.note, e.attempt, e.due = c.Version, c.Note, 0, time.Time{}
	e.place = place(e.since, codestory.Path(c.Path), c.Version.Size)
	r.noteStory(codestory.Path(c.Path).Story(), c.Metadata, now)
}

// place is when a file that began to wait at since has its turn: an hour later for each step from the metadata to
// chapter 1, the whole story and the rest, and a minute later for each doubling of its size.
func place(since time.Time, path codestory.Path, size int64) time.Time {
	steps := 3
	switch in := path.InStory(); {
	case in == "metadata.json":
		steps = 0
	case in == "chapters/chapter_01.mp3":
		steps = 1
	case in == "audio/story.mp3":
		steps = 2
	}
	return since.Add(time.Duration(steps)*time.Hour + time.Duration(bits.Len64(uint64(size)))*time.Minute)
}

func (r *reference) found(path codestory.Path, s queue.Stored, m *codestory.Metadata, now time.Time) {
	e := r.files[string(path)]
	if e != nil && (e.state != codestory.Synced || r.here(e) != nil) {
		r.adopt(path.Story(), m, now)
		return
	}
	if e == nil {
		e = &entry{}
		r.files[string(path)] = e
	}
	*e = entry{
		state: codestory.Synced, generation: e.generation + 1, claimed: e.claimed,
		object: &object{destination: r.destination, stored: s},
	}
	r.noteStory(path.Story(), m, now)
}

// correct takes over what the store has of a path of which nothing waits; s is nil for nothing.
func (r *reference) correct(path string, s *queue.Stored, m *codestory.Metadata, now time.Time) {
	e := r.files[path]
	switch {
	case e.claimed || r.file(path).State != codestory.Synced:
	case s == nil:
		e.object = nil
		r.forget(path, e)
	default:
		*e = entry{state: codestory.Synced, generation: e.generation + 1, object: &object{r.destination, *s}}
		if m != nil {
			r.noteStory(codestory.Path(path).Story(), m, now)
		}
	}
}

func (r *reference) noteStory(id codestory.StoryID, m *codestory.Metadata, now time.Time) {
	s := r.stories[id]
	if s == nil {
		s = &queue.Story{ID: id, FirstSeen: now}
		r.stories[id] = s
	}
	if m != nil {
		s.Metadata, s.Owner = *m, m.OwnerAfter(s.Owner)
	}
}

// adopt is noteStory for metadata of a file that was known: it counts while nobody knows whose the story is.
func (r *reference) adopt(id codestory.StoryID, m *codestory.Metadata, now time.Time) {
	if s := r.stories[id]; s != nil && !s.Owner.Known() && m != nil {
		r.noteStory(id, m, now)
	}
}

// next is the path that has its turn, claimed; "" where none has.
func (r *reference) next(now time.Time) string {
	var first string
	for path, e := range r.files {
		if e.state == codestory.Retrying && !e.due.After(now) {
			e.state, e.due = codestory.Queued, time.Time{}
		}
		if e.state != codestory.Queued || e.claimed {
			continue
		}
		if first == "" || cmp.Or(e.place.Compare(r.files[first].place), strings.Compare(path, first)) < 0 {
			first = path
		}
	}
	if first == "" || r.paused {
		return ""
	}
	r.files[first].claimed = true
	return first
}

// retryNow reports whether the path waited for another attempt or a person.
func (r *reference) retryNow(path string) bool {
	e := r.files[path]
	if e == nil || e.state != codestory.Retrying && e.state != codestory.Blocked {
		return false
	}
	e.state, e.attempt, e.due, e.reason = codestory.Queued, 0, time.Time{}, ""
	return true
}

func (r *reference) queued(path string) bool {
	e := r.files[path]
	return e != nil && e.state == codestory.Queued
}

// vanished forgets the file of a path that rests.
func (r *reference) vanished(path string) {
	e := r.files[path]
	if e == nil || e.claimed {
		return
	}
	switch e.state {
	case codestory.Blocked, codestory.Settling, codestory.LeftOut:
		r.forget(path, e)
	}
}

// drop reports whether the path waited.
func (r *reference) drop(path, reason string) bool {
	e := r.files[path]
	if e == nil || e.state != codestory.Queued && e.state != codestory.Retrying && e.state != codestory.Blocked {
		return false
	}
	e.state, e.attempt, e.due, e.reason = codestory.LeftOut, 0, time.Time{}, reason
	e.generation++
	return true
}

// settle ends the claim of one generation of the path, by outcome if it is still the present one.
func (r *reference) settle(path string, generation int, outcome func(e *entry)) {
	e := r.files[path]
	e.claimed = false
	if e.generation == generation {
		outcome(e)
	}
}

func (r *reference) done(path string, generation int, s queue.Stored) {
	r.files[path].object = &object{destination: r.destination, stored: s}
	r.settle(path, generation, func(e *entry) {
		e.state, e.reason, e.attempt = codestory.Synced, "", 0
	})
}

func (r *reference) gone(path string, generation int) {
	r.settle(path, generation, func(e *entry) { r.forget(path, e) })
}

// forget leaves of a file what is stored of it.
func (r *reference) forget(path string, e *entry) {
	if e.object != nil {
		*e = entry{state: codestory.Synced, generation: e.generation, object: e.object, claimed: e.claimed}
		return
	}
	delete(r.files, path)
	id := codestory.Path(path).Story()
	for other := range r.files {
		if codestory.Path(other).Story() == id {
			return
		}
	}
	delete(r.stories, id)
}

// file is what queue.File should answer.
func (r *reference) file(path string) queue.File {
	e := r.files[path]
	f := queue.File{
		Path: path, State: e.state, Version: e.version, Reason: cmp.Or(e.reason, e.note), Attempt: e.attempt,
		Due: e.due, Stored: r.here(e),
	}
	switch {
	case e.state == codestory.Queued && e.claimed:
		f.State = codestory.Uploading
	case e.state == codestory.Synced && f.Stored == nil:
		f.State = codestory.Missing
	}
	return f
}

func (r *reference) stats() queue.Stats {
	var s queue.Stats
	for path, e := range r.files {
		f := r.file(path)
		size := e.version.Size
		if e.version == (codestory.Version{}) {
			size = e.object.stored.Size
		}
		switch f.State {
		case codestory.Queued:
			s.Queued++
		case codestory.Uploading:
			s.Uploading++
		case codestory.Retrying:
			s.Retrying++
		case codestory.Blocked:
			s.Blocked++
		case codestory.Synced:
			s.SyncedFiles++
			s.SyncedBytes += size
		}
		if e.state == codestory.Queued || e.state == codestory.Retrying || e.state == codestory.Blocked {
			s.Bytes += size
		}
		if e.state != codestory.Queued && e.state != codestory.Retrying {
			continue
		}
		if s.Oldest.IsZero() || e.since.Before(s.Oldest) {
			s.Oldest = e.since
		}
	}
	s.Paused = r.paused
	return s
}

// list is the stories of one user, or everybody's, the newest first.
func (r *reference) list(owner *string) []queue.Story {
	var list []queue.Story
	for _, s := range r.stories {
		if owner == nil || s.Owner.Is(*owner) {
			list = append(list, *s)
		}
	}
	slices.SortFunc(list, func(a, b queue.Story) int {
		return cmp.Or(b.CreatedAt().Compare(a.CreatedAt()), strings.Compare(string(a.ID), string(b.ID)))
	})
	return list
}
