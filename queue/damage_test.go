package queue_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

var noiseSeed = flag.Uint64("noise", 1, "the seed of the noise that damages databases")

const sampleStories = 12

// newSample makes a database of some forty pages with all that there can be in one, closed, and returns its path.
func newSample(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "codestoryd.db")
	q := openAt(t, path, "a")
	var changes []queue.Change
	for n := range sampleStories {
		m := change(codestory.MetadataPath(storyN(n)), 1, 100)
		m.Metadata = &codestory.Metadata{
			Title: fmt.Sprint("story ", n), Owner: codestory.OwnedBy([]string{"", "ann"}[n%2]),
			CreatedAt: time.Date(2020, 1, n+1, 0, 0, 0, 0, time.UTC),
		}
		if n == 0 {
			m.Metadata.Description = strings.Repeat("a story longer than a page. ", 500)
		}
		changes = append(changes, m, change(codestory.StoryAudioPath(storyN(n)), 1, 1000))
		for chapter := range 10 {
			changes = append(changes, change(codestory.ChapterPath(storyN(n), chapter+1), 1, 100))
		}
	}
	changes = append(changes, queue.Change{Path: string(storyN(0)) + "/\xff", Version: version(1, 1), Fault: "rename it"})
	enqueue(t, q, changes...)
	must(t, settle(t, q, 100, func(n int, c *queue.Claim) error {
		switch n % 4 {
		case 0:
			return c.Retry(time.Now().Add(time.Hour), "no answer")
		case 1:
			return c.Block("too large")
		default:
			return c.Done(put(1, c.Version.Size))
		}
	}))
	must(t, q.Drop(string(codestory.ChapterPath(storyN(1), 10)), "dropped"))
	// A transaction that changes nothing: each of bbolt's two meta pages now leads to the same answers.
	enqueue(t, q, changes...)
	must(t, q.Close())
	return path
}

// settle claims n items, one after another, and then settles them all at once, so that they share transactions.
func settle(t *testing.T, q *queue.Queue, n int, outcome func(n int, c *queue.Claim) error) error {
	t.Helper()
	claims := make([]*queue.Claim, n)
	for i := range claims {
		var err error
		if claims[i], err = q.Next(t.Context()); err != nil {
			return err
		}
	}
	var g errgroup.Group
	for i, c := range claims {
		g.Go(func() error { return outcome(i, c) })
	}
	return g.Wait()
}

// answers is all that the queue says about the sample.
func answers(q *queue.Queue) (string, error) {
	var b strings.Builder
	s, err := q.Stats()
	fmt.Fprintf(&b, "%+v\n", s)
	for n := range sampleStories + 1 {
		files, filesErr := q.Files(storyN(n))
		story, storyErr := q.Story(storyN(n))
		if errors.Is(storyErr, codestory.ErrNotFound) {
			storyErr = nil // it shows by the answer
		}
		err = errors.Join(err, filesErr, storyErr)
		fmt.Fprintf(&b, "%+v\n", story)
		for _, f := range files {
			stored := queue.Stored{}
			if f.Stored != nil {
				stored = *f.Stored
			}
			f.Stored = nil
			fmt.Fprintf(&b, "%+v %+v\n", f, stored)
		}
	}
	ignored, ignoredErr := q.Ignored(10)
	items, _, itemsErr := q.Items("", 1000, "")
	fmt.Fprintf(&b, "%+v %d\n", ignored, len(items))
	err = errors.Join(err, ignoredErr, itemsErr)
	for _, owner := range []string{"", "ann"} {
		for cursor, more := "", true; more; more = cursor != "" {
			page, next, storiesErr := q.Stories(&owner, 3, cursor)
			err = errors.Join(err, storiesErr)
			fmt.Fprintf(&b, "%+v\n", page)
			cursor = next
		}
	}
	return b.String(), err
}

// work takes the sample through all that is written.
func work(t *testing.T, q *queue.Queue) error {
	t.Helper()
	s, err := q.Stats()
	if err != nil {
		return err
	}
	err = settle(t, q, int(s.Queued), func(_ int, c *queue.Claim) error { return c.Done(put(2, c.Version.Size)) })
	var changes []queue.Change
	for n := range sampleStories + 1 {
		m := change(codestory.MetadataPath(storyN(n)), 2, 200)
		m.Metadata = &codestory.Metadata{Title: fmt.Sprint("again ", n), CreatedAt: time.Unix(int64(n), 0)}
		changes = append(changes, m)
		for chapter := range 10 {
			changes = append(changes, change(codestory.ChapterPath(storyN(n), chapter+1), 2, 200))
		}
	}
	return errors.Join(err, q.Enqueue(changes))
}

// onlyDamage fails the test for an error that does not come of the damage.
func onlyDamage(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, e := range flatten(err) {
		if !errors.Is(e, queue.ErrDamaged) {
			t.Errorf("%s: %v", what, e)
		}
	}
}

func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}

// damaged uses a copy of the sample that was damaged: each call says that it is, or is right, and returns.
func damaged(t *testing.T, sample string, damage func(content []byte) []byte) {
	t.Helper()
	bound(t)
	path := filepath.Join(t.TempDir(), "damaged.db")
	must(t, os.WriteFile(path, damage(read(t, sample)), 0o600))
	healthy, err := queue.Open(sample, "a", queue.Options{ReadOnly: true})
	must(t, err)
	defer func() { _ = healthy.Close() }()
	want, err := answers(healthy)
	must(t, err)
	check := func(q *queue.Queue) error {
		got, err := answers(q)
		onlyDamage(t, "looking", err)
		if err == nil && got != want {
			t.Errorf("the answers are wrong:\n%s", firstDifference(got, want))
		}
		return err
	}

	before := read(t, path)
	for _, readOnly := range []bool{true, false, false} { // the last to see that nothing holds the lock
		q, err := queue.Open(path, "a", queue.Options{ReadOnly: readOnly, Timeout: 200 * time.Millisecond})
		if err == nil {
			err = check(q)
			_ = q.Close()
		}
		onlyDamage(t, "opening", err)
		if string(read(t, path)) != string(before) {
			t.Errorf("a look has changed it, read-only %t", readOnly)
		}
	}
	q, err := queue.Open(path, "a", queue.Options{})
	if err != nil {
		return
	}
	err = work(t, q)
	onlyDamage(t, "working", err)
	if _, again := answers(q); err == nil {
		err = again
		onlyDamage(t, "looking after the work", again)
	}
	if err == nil {
		if err := queue.Invariants(q); err != nil {
			t.Errorf("all went well, and yet: %v", err)
		}
	}
	_ = q.Close()
}

// bound ends the test, with the stacks of all, where a call does not return.
func bound(t *testing.T) {
	alarm := time.AfterFunc(time.Minute, func() { panic("a call does not return") })
	t.Cleanup(func() { alarm.Stop() })
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "got  " + g[i] + "\nwant " + w[i]
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// TestDamagedTruncated: a database that was cut short, at each of its pages and within some. It is refused where pages
// are cut off that were ever in use.
func TestDamagedTruncated(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it damages a database many times")
	}
	t.Parallel()
	sample := newSample(t)
	content := read(t, sample)
	size, used := len(content), int(word(content, newestMeta(content)+metaPageCount))*pageSize
	sizes := []int{1, 100, 4095, 4097, 5000, 8191, 20_000, size / 2, size - 1}
	for n := pageSize; n < size; n += pageSize {
		sizes = append(sizes, n)
	}
	for _, n := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			if n >= used {
				damaged(t, sample, func(content []byte) []byte { return content[:n] })
				return
			}
			path := filepath.Join(t.TempDir(), "cut.db")
			must(t, os.WriteFile(path, content[:n], 0o600))
			for _, err := range refused(t, path) {
				if !errors.Is(err, queue.ErrDamaged) {
					t.Errorf("the error is %v", err)
				}
			}
		})
	}
}

var pageSize = os.Getpagesize()

// TestDamagedNoise: one page after another is noise.
func TestDamagedNoise(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it damages a database many times")
	}
	t.Parallel()
	sample := newSample(t)
	rng := rand.New(rand.NewPCG(*noiseSeed, 0))
	for at := 0; at < len(read(t, sample)); at += pageSize {
		t.Run(fmt.Sprint(at/pageSize), func(t *testing.T) {
			damaged(t, sample, func(content []byte) []byte {
				for i := range pageSize {
					content[at+i] = byte(rng.Uint32())
				}
				return content
			})
		})
	}
}

// TestDamagedZeros: one page after another is zeros, as after a crash of a file system that lost it.
func TestDamagedZeros(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it damages a database many times")
	}
	t.Parallel()
	sample := newSample(t)
	for at := 0; at < len(read(t, sample)); at += pageSize {
		t.Run(fmt.Sprint(at/pageSize), func(t *testing.T) {
			damaged(t, sample, func(content []byte) []byte {
				clear(content[at : at+pageSize])
				return content
			})
		})
	}
}

// TestDamagedFreelist: pages that are in use stand among the free ones. bbolt finds out in the middle of a write, and
// at times again while it rolls that back, and then never lets go of its lock. Nobody waits for that, and nothing more
// is written. Which of the pages it takes first is by chance, so there are some rounds.
func TestDamagedFreelist(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it damages a database many times")
	}
	t.Parallel()
	sample := newSample(t)
	for n := range 16 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bound(t)
			content := read(t, sample)
			freeUsed(content, n+1)
			path := filepath.Join(t.TempDir(), "damaged.db")
			must(t, os.WriteFile(path, content, 0o600))
			for _, err := range refused(t, path) {
				if !errors.Is(err, queue.ErrDamaged) {
					t.Errorf("the error is %v", err)
				}
			}
			writeUntilDamaged(t, path)
		})
	}
}

func writeUntilDamaged(t *testing.T, path string) {
	t.Helper()
	q, err := queue.Open(path, "a", queue.Unchecked())
	must(t, err)
	for n := int64(2); err == nil && n < 100; n++ {
		var changes []queue.Change // so many that pages are taken and freed in turn
		for story := range sampleStories {
			for chapter := range 10 {
				changes = append(changes, change(codestory.ChapterPath(storyN(story), chapter+1), n, n))
			}
		}
		err = q.Enqueue(changes)
	}
	if !errors.Is(err, queue.ErrDamaged) {
		t.Fatalf("in a hundred writes the error was %v", err)
	}
	before := read(t, path)
	for range 3 {
		if err := q.Enqueue([]queue.Change{change(chapter, 1000, 1)}); !errors.Is(err, queue.ErrDamaged) {
			t.Errorf("after that Enqueue gave %v", err)
		}
	}
	if string(read(t, path)) != string(before) {
		t.Error("after that it was written to")
	}
	_, _ = answers(q) // any, since what was in use is written over
	must(t, q.Close())
	if _, err := queue.Open(path, "a", queue.Options{}); errors.Is(err, queue.ErrLocked) {
		t.Errorf("after Close: %v", err)
	}
}

// freeUsed replaces the ids of up to n free pages by those of pages in use.
func freeUsed(content []byte, n int) {
	const header = 16
	page := int(word(content, newestMeta(content)+metaFreelist)) * pageSize
	count := int(binary.NativeEndian.Uint16(content[page+10:]))
	free := map[uint64]bool{uint64(page / pageSize): true}
	for i := range count {
		free[word(content, page+header+8*i)] = true
	}
	for id, i := uint64(2), 0; i < min(n, count); id++ {
		if !free[id] {
			binary.NativeEndian.PutUint64(content[page+header+8*i:], id)
			i++
		}
	}
}

// Where bbolt has what in a meta page: see its internal/common, page.go and meta.go.
const (
	metaFreelist  = 16 + 32
	metaPageCount = 16 + 40
	metaTxid      = 16 + 48
)

func word(content []byte, at int) uint64 { return binary.NativeEndian.Uint64(content[at:]) }

// newestMeta is where the meta page of the last transaction is.
func newestMeta(content []byte) int {
	if word(content, pageSize+metaTxid) > word(content, metaTxid) {
		return pageSize
	}
	return 0
}

// TestDamagedWhole: files that are no database at all.
func TestDamagedWhole(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 40_000)
	rng := rand.New(rand.NewPCG(*noiseSeed, 1))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for name, content := range map[string][]byte{
		"text":           []byte("dear diary\n"),
		"long text":      []byte(strings.Repeat("dear diary\n", 10_000)),
		"noise":          noise,
		"zeros":          make([]byte, 40_000),
		"one zero":       make([]byte, 1),
		"SQLite's start": append([]byte("SQLite format 3\x00"), noise...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "codestoryd.db")
			must(t, os.WriteFile(path, content, 0o600))
			for _, err := range refused(t, path) {
				if !errors.Is(err, queue.ErrDamaged) || !strings.Contains(err.Error(), path) {
					t.Errorf("the error is %v", err)
				}
			}
		})
	}
}
