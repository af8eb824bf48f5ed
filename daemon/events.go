package daemon

import (
	"slices"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/audio"
	"github.com/codestory/codestoryd/daemon/upload"
	"github.com/codestory/codestoryd/internal/wait"
	"github.com/codestory/codestoryd/queue"
)

const (
	// maxEvents is how many events are remembered. Each is some hundred bytes.
	maxEvents = 1024
	// storyDelay is from a change of a file to the event of its story, so that a hundred files that come at once are one
	// event of the story that they are of.
	storyDelay = 500 * time.Millisecond
	// maxStirred is how many stories are kept back for that.
	maxStirred = maxEvents / 8
)

// events remembers the last things that happened. Whoever makes something happen writes it down and goes on, without
// knowing who reads; whoever reads asks for what came after the last it has seen, and has missed what is forgotten by
// then. So nobody waits for a slow reader, and none costs memory.
type events struct {
	mu      sync.Mutex
	ring    []happened // event n is at n % maxEvents
	last    uint64     // number of the newest; the first is 1
	forgot  uint64     // number of the newest that is not remembered
	changed wait.Broadcast

	stirred   []codestory.StoryID // whose files changed, which is no event of theirs yet
	stirredAt time.Time           // when the first of them did
}

// happened is an event as it is written down. It is described where it is read.
type happened struct {
	file   *queue.File
	upload *codestory.Upload
	story  codestory.StoryID
	remote *upload.StoreState
}

func (e *events) add(h happened) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.write(h)
	if h.file != nil {
		e.stir(codestory.Path(h.file.Path).Story())
	}
	e.changed.Announce()
}

// write gives the event its number. The caller holds mu.
func (e *events) write(h happened) {
	if e.ring == nil {
		e.ring = make([]happened, maxEvents)
	}
	e.last++
	e.ring[e.last%maxEvents] = h
	if e.last > maxEvents {
		e.forgot = max(e.forgot, e.last-maxEvents)
	}
}

// stir notes that a file of the story changed. The caller holds mu.
func (e *events) stir(id codestory.StoryID) {
	if slices.Contains(e.stirred, id) {
		return
	}
	if len(e.stirred) == 0 {
		e.stirredAt = time.Now()
	}
	if e.stirred = append(e.stirred, id); len(e.stirred) == maxStirred {
		e.tellStories()
	}
}

// touch notes that what is known of the story may have changed, though none of its files has.
func (e *events) touch(id codestory.StoryID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stir(id)
	e.changed.Announce()
}

// tellStories writes down the events of stories that were kept back. The caller holds mu.
func (e *events) tellStories() {
	for _, id := range e.stirred {
		e.write(happened{story: id})
	}
	e.stirred = nil
	e.changed.Announce()
}

// lose says that more happened than can be written down.
func (e *events) lose() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	e.forgot = e.last
	e.changed.Announce()
}

// since is what happened after the event of that number, which the first of the list follows. What was kept back of
// stories is written down once somebody asks.
func (e *events) since(after uint64) (list []happened, first uint64, b codestory.EventBatch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.stirred) > 0 && time.Since(e.stirredAt) >= storyDelay {
		e.tellStories()
	}
	b = codestory.EventBatch{Last: e.last, Missed: after < e.forgot || after > e.last, Changed: e.changed.Changed()}
	first = max(min(after, e.last), e.forgot) + 1
	for n := first; n <= e.last; n++ {
		list = append(list, e.ring[n%maxEvents])
	}
	return list, first, b
}

// FileChanged is called with each change by the queue, which calls it with the zero File if there were too many.
func (e *events) FileChanged(f queue.File) {
	if f.Path == "" {
		e.lose()
		return
	}
	e.add(happened{file: &f})
}

// UploadChanged is called when an upload begins and ends.
func (e *events) UploadChanged(u codestory.Upload) { e.add(happened{upload: &u}) }

// StoreChanged is called with each change of the store's state.
func (e *events) StoreChanged(s upload.StoreState) { e.add(happened{remote: &s}) }

// Events is what happened after the event of that number; with one that has not happened yet, nothing so far.
func (d *Daemon) Events(after uint64) (codestory.EventBatch, error) {
	list, first, batch := d.events.since(after)
	if len(list) == 0 {
		return batch, nil
	}
	now, err := d.StatusContext()
	if err != nil {
		return codestory.EventBatch{}, err
	}
	sounds, err := d.soundsOf(list)
	if err != nil {
		return codestory.EventBatch{}, err
	}
	for i, h := range list {
		event := codestory.Event{ID: first + uint64(i), Upload: h.upload, Story: h.story}
		if h.file != nil {
			event.File = new(now.Describe(*h.file))
			event.File.Audio = sounds[h.file]
		}
		if h.remote != nil {
			event.Remote = new(d.remoteStatus(*h.remote))
		}
		batch.Events = append(batch.Events, event)
	}
	return batch, nil
}

// soundsOf is what was read of the files that something happened to.
func (d *Daemon) soundsOf(list []happened) (map[*queue.File]*codestory.Audio, error) {
	var files []queue.File
	var of []*queue.File
	for _, h := range list {
		if h.file != nil && audio.Known(h.file.Path) {
			files, of = append(files, *h.file), append(of, h.file)
		}
	}
	if files == nil {
		return nil, nil
	}
	read, err := d.queue.SoundsOf(files)
	sounds := map[*queue.File]*codestory.Audio{}
	for i, sound := range read {
		sounds[of[i]] = sound
	}
	return sounds, err
}
