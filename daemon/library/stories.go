package library

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/upload"
	"github.com/codestory/codestoryd/queue"
)

// Stories lists stories with their files, newest first.
func (l *Library) Stories(_ context.Context, owner *string, limit int, cursor string) (codestory.StoryPage, error) {
	stories, next, err := l.queue.Stories(owner, limit, cursor)
	if err != nil {
		return codestory.StoryPage{}, err
	}
	page := codestory.StoryPage{Stories: make([]codestory.Story, 0, len(stories)), NextCursor: text(next)}
	for _, s := range stories {
		story, err := l.describe(s)
		if err != nil {
			return codestory.StoryPage{}, err
		}
		if now, err := l.queue.Owner(s.ID); err != nil || now != s.Owner { // its files may be another's by now
			continue
		}
		page.Stories = append(page.Stories, story)
	}
	return page, nil
}

// Story describes the story with its files.
func (l *Library) Story(ctx context.Context, id codestory.StoryID) (codestory.Story, error) {
	if _, err := l.Owner(ctx, id); err != nil {
		return codestory.Story{}, err
	}
	if err := l.refreshStory(ctx, id); err != nil {
		return codestory.Story{}, err
	}
	for {
		s, err := l.queue.Story(id)
		if err != nil {
			return codestory.Story{}, err
		}
		story, err := l.describe(s)
		if err != nil {
			return codestory.Story{}, err
		}
		// Its files were read after its owner: another one may have them by now.
		if owner, err := l.queue.Owner(id); err != nil || owner == s.Owner {
			return story, err
		}
	}
}

func (l *Library) describe(s queue.Story) (codestory.Story, error) {
	files, err := l.queue.Files(s.ID)
	if err != nil {
		return codestory.Story{}, err
	}
	now, err := l.StatusContext()
	if err != nil {
		return codestory.Story{}, err
	}
	sounds, err := l.queue.Sounds(s.ID)
	if err != nil {
		return codestory.Story{}, err
	}
	v := storyView{story: s, files: files, sounds: sounds, settling: l.watcher.Settling(s.ID), now: now}
	maps.DeleteFunc(v.settling, func(path codestory.Path, _ string) bool { return l.rules.Excludes(path) }) // it settles to be read
	v.here = func(path codestory.Path) (codestory.Version, bool) {
		version, err := l.tree.Stat(path)
		return version, err == nil
	}
	return v.describe(), nil
}

// storyView describes a story for people, out of what the index, the watcher and the disk say of it.
type storyView struct {
	story    queue.Story
	files    []queue.File
	sounds   map[codestory.Path]codestory.Audio
	settling map[codestory.Path]string // the files that settle, with why they take long, or ""
	now      StatusContext
	here     func(codestory.Path) (codestory.Version, bool) // what is on this machine
}

func (v storyView) describe() codestory.Story {
	files := v.listFiles()
	s := codestory.Story{
		ID:          v.story.ID,
		Title:       v.story.Metadata.Title,
		Description: v.story.Metadata.Description,
		Language:    v.story.Metadata.Language,
		Source:      v.story.Metadata.Source,
		Owner:       v.story.Owner,
		CreatedAt:   v.story.CreatedAt(),
		State:       v.state(files),
		Chapters:    v.chapters(files),
		Files:       files,
		Kept:        slices.Collect(v.keptHere()),
	}
	for _, f := range files {
		s.Bytes += f.Size
	}
	return s
}

// listFiles lists the files in the index and those that settle and are not in it yet, by path.
func (v storyView) listFiles() []codestory.File {
	list := make([]codestory.File, 0, len(v.files)+len(v.settling))
	for _, f := range v.files {
		if f.State == codestory.LeftOut {
			continue
		}
		path, file := codestory.Path(f.Path), v.now.Describe(f)
		if sound, ok := v.sounds[path]; ok {
			file.Audio = &sound
		}
		if why, settles := v.settling[path]; settles && f.State != codestory.Uploading {
			file.State, file.Reason = codestory.Settling, text(why)
			if version, here := v.here(path); here { // what plays is what is here
				file.Size, file.ModifiedAt = version.Size, modified(version)
				if version != f.Version {
					file.Audio = nil
				}
			}
		}
		list = append(list, file)
	}
	for path, why := range v.settling {
		known := func(f codestory.File) bool { return f.Path == path }
		version, here := v.here(path)
		if !here || slices.ContainsFunc(list, known) {
			continue
		}
		list = append(list, codestory.File{
			Path: path, Key: path.Key(), ContentType: path.ContentType(),
			Size: version.Size, State: codestory.Settling, Reason: text(why), ModifiedAt: modified(version),
		})
	}
	slices.SortFunc(list, func(a, b codestory.File) int { return strings.Compare(string(a.Path), string(b.Path)) })
	return list
}

// modified is when the file on this machine was written.
func modified(v codestory.Version) *time.Time {
	if v == (codestory.Version{}) {
		return nil
	}
	return new(v.Modified().UTC())
}

// state sums up the files.
func (v storyView) state(files []codestory.File) codestory.StoryState {
	synced, stored, here := 0, 0, 0
	for _, f := range files {
		if f.State == codestory.Synced {
			synced++
		}
		if f.ETag != nil || f.State == codestory.Synced {
			stored++
		} else if _, ok := v.here(f.Path); ok {
			here++
		}
	}
	for range v.keptHere() {
		here++
	}
	switch {
	case len(files) > 0 && synced == len(files):
		return codestory.StorySynced
	case stored > 0:
		return codestory.StoryPartial
	case here > 0:
		return codestory.StoryWaiting
	default:
		return codestory.StoryMissing
	}
}

// keptHere yields the files that are left out, and play from this machine all the same.
func (v storyView) keptHere() iter.Seq[codestory.Path] {
	return func(yield func(codestory.Path) bool) {
		for _, f := range v.files {
			if f.State != codestory.LeftOut {
				continue
			}
			if _, here := v.here(codestory.Path(f.Path)); here && !yield(codestory.Path(f.Path)) {
				return
			}
		}
	}
}

// chapters are those that the metadata names and those that there are files of, by number.
func (v storyView) chapters(files []codestory.File) []codestory.Chapter {
	byNumber := map[int]codestory.Chapter{}
	for _, c := range v.story.Metadata.Chapters {
		if c.Number < 1 {
			continue
		}
		byNumber[c.Number] = codestory.Chapter{
			Number: c.Number, Title: c.Title, DurationSeconds: c.DurationSeconds,
			Path: codestory.ChapterPath(v.story.ID, c.Number), State: codestory.Missing,
		}
	}
	for n, f := range v.chapterFiles(files) {
		c := byNumber[n]
		c.Number, c.Path, c.State = n, f.Path, f.State
		if c.DurationSeconds == nil && f.Audio != nil {
			c.DurationSeconds = f.Audio.DurationSeconds
		}
		byNumber[n] = c
	}
	chapters := make([]codestory.Chapter, 0, len(byNumber))
	for _, n := range slices.Sorted(maps.Keys(byNumber)) {
		chapters = append(chapters, byNumber[n])
	}
	return chapters
}

// chapterFiles are the files that are the chapters, by number. Which of several is the chapter, codestory.Path.Chapter says.
func (v storyView) chapterFiles(files []codestory.File) map[int]codestory.File {
	byNumber := map[int]codestory.File{}
	note := func(f codestory.File) {
		n := f.Path.Chapter()
		if n == 0 {
			return
		}
		before, taken := byNumber[n]
		canonical := f.Path == codestory.ChapterPath(v.story.ID, n)
		gone, goneBefore := f.State == codestory.Missing, before.State == codestory.Missing
		if !taken || goneBefore && !gone || canonical && gone == goneBefore {
			byNumber[n] = f
		}
	}
	for _, f := range files { // by name
		note(f)
	}
	for path := range v.keptHere() {
		note(codestory.File{Path: path, State: codestory.LeftOut})
	}
	return byNumber
}

// StatusContext are what all files wait for alike.
type StatusContext struct {
	store  upload.StoreState
	paused bool // by a person
}

// StatusContext returns what all files wait for alike now.
func (l *Library) StatusContext() (StatusContext, error) {
	stats, err := l.queue.Stats()
	return StatusContext{l.uploads.Store(), stats.Paused}, err
}

// Describe is what people are told of a file by what the index knows of it.
func (c StatusContext) Describe(f queue.File) codestory.File {
	path := codestory.Path(f.Path)
	file := codestory.File{
		Path: path, Key: path.Key(), ContentType: path.ContentType(),
		Size: f.Size(), State: f.State, Reason: text(c.Reason(f)), ModifiedAt: modified(f.Version),
	}
	if f.Stored != nil {
		file.ETag = text(f.Stored.ETag)
	}
	return file
}

// Reason is the sentence that says why a file waits.
func (c StatusContext) Reason(f queue.File) string {
	switch {
	case f.State == codestory.Queued && c.paused:
		return "the queue is paused; go on with: codestoryd queue resume"
	case f.State == codestory.Retrying:
		return fmt.Sprintf("attempt %d failed: %s; the next is at %s", f.Attempt, f.Reason, f.Due.Format("15:04:05"))
	case f.State == codestory.Queued && c.store.State != codestory.RemoteOK:
		return fmt.Sprintf("the store is %s: %s", c.store.State, c.store.Message)
	case f.State == codestory.Queued && f.Reason == "":
		return "waits for its turn"
	case f.State == codestory.Missing:
		return "it is not on this machine, and was not stored in this destination"
	default:
		return f.Reason
	}
}

// text is nil for "".
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
