package queuetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// compare asks the queue all that it can be asked, and holds the answers against the reference.
func (m *model) compare() error {
	return errors.Join(m.invariants(m.q), m.compareFiles(), m.compareStats(), m.compareStories())
}

func (m *model) compareFiles() error {
	var errs []error
	byStory := map[codestory.StoryID][]string{}
	for _, path := range slices.Sorted(slices.Values(m.paths)) {
		id := codestory.Path(path).Story()
		if m.ref.files[path] == nil {
			if f, err := m.q.File(codestory.Path(path)); !errors.Is(err, codestory.ErrNotFound) {
				errs = append(errs, fmt.Errorf("File(%q) = %+v, %v, want not found", path, f, err))
			}
			continue
		}
		byStory[id] = append(byStory[id], path)
		got, err := m.q.File(codestory.Path(path))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if want := m.ref.file(path); show(got) != show(want) {
			errs = append(errs, fmt.Errorf("File(%q) is\n %s, want\n %s", path, show(got), show(want)))
		}
		for _, v := range []codestory.Version{got.Version, {Size: 1, ModTime: 1}} {
			if known, err := m.q.Known([]string{path}, []codestory.Version{v}); err != nil || known[0] != m.ref.known(path, v) {
				errs = append(errs, fmt.Errorf("Known(%q, %+v) = %v, %v, want %v", path, v, known, err, m.ref.known(path, v)))
			}
		}
	}
	for id, want := range byStory {
		files, err := m.q.Files(id)
		var got []string
		for _, f := range files {
			got = append(got, f.Path)
			if want := m.ref.file(f.Path); show(f) != show(want) {
				err = errors.Join(err, fmt.Errorf("among Files(%s) is\n %s, want\n %s", id, show(f), show(want)))
			}
		}
		if err != nil || !slices.Equal(got, want) {
			errs = append(errs, fmt.Errorf("Files(%s) = %q, %v, want %q", id, got, err, want))
		}
	}
	return errors.Join(errs...)
}

// show makes two files comparable: pointers followed, times without their zone.
func show(f queue.File) string {
	stored := queue.Stored{}
	if f.Stored != nil {
		stored = *f.Stored
	}
	return fmt.Sprintf("%q %s %+v %q attempt %d due %d stored %t %+v",
		f.Path, f.State, f.Version, f.Reason, f.Attempt, f.Due.UnixNano(), f.Stored != nil, stored)
}

func (m *model) compareStats() error {
	got, err := m.q.Stats()
	want := m.ref.stats()
	if !got.Oldest.Equal(want.Oldest) {
		return fmt.Errorf("the oldest waits since %v, want %v", got.Oldest, want.Oldest)
	}
	got.Oldest, want.Oldest = time.Time{}, time.Time{}
	if err != nil || got != want {
		return fmt.Errorf("Stats() = %+v, %v, want %+v", got, err, want)
	}
	return nil
}

func (m *model) compareStories() error {
	ann := "ann"
	own := ""
	for _, owner := range []*string{nil, &own, &ann} {
		var got []queue.Story
		for cursor, pages := "", 0; ; pages++ {
			page, next, err := m.q.Stories(owner, 1+m.rng.IntN(2), cursor)
			if err != nil {
				return fmt.Errorf("page %d of the stories: %w", pages, err)
			}
			got = append(got, page...)
			if cursor = next; next == "" {
				break
			}
		}
		if got, want := asJSON(got), asJSON(m.ref.list(owner)); got != want {
			return fmt.Errorf("the stories are\n %s, want\n %s", got, want)
		}
	}
	for id, want := range m.ref.stories {
		if got, err := m.q.Story(id); err != nil || asJSON([]queue.Story{got}) != asJSON([]queue.Story{*want}) {
			return fmt.Errorf("Story(%s) = %+v, %v, want %+v", id, got, err, want)
		}
	}
	return nil
}

// asJSON prints stories with their ids and without their times' zones.
func asJSON(stories []queue.Story) string {
	var s string
	for _, st := range stories {
		st.FirstSeen = st.FirstSeen.UTC()
		b, err := json.Marshal(st)
		s += fmt.Sprintf("%s %q %s %v; ", st.ID, st.Owner.Text(), b, err)
	}
	return s
}
