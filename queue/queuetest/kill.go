package queuetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

const (
	roundsPerFile = 6                     // then the writer makes a new database
	killWithin    = 60 * time.Millisecond // of the writer being ready, or started
	maxRounds     = 10                    // times as many as asked for, on a machine so busy that writers are killed before they do anything
)

// Kill lets another process write to a database and kills it at some moment, for the given number of rounds or, while the
// writer was too slow to do anything, more. After each, all that the process had acknowledged has to be there, and of what was under way all or nothing.
func Kill(t *testing.T, rounds int, invariants func(*queue.Queue) error) {
	t.Helper()
	var l ledger
	var db string
	acknowledged := 0
	for round := 0; round < rounds || acknowledged < rounds && round < maxRounds*rounds; round++ {
		if round%roundsPerFile == 0 {
			db, l = filepath.Join(t.TempDir(), "codestoryd.db"), ledger{}
		}
		events := killed(t, modeWrite, db)
		for _, e := range events {
			if err := l.note(e); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(e, acked) {
				acknowledged++
			}
		}
		if err := inspect(db, &l, invariants); err != nil {
			t.Fatalf("round %d: %v\nthe writer said:\n%s", round, err, strings.Join(events, "\n"))
		}
	}
	t.Logf("%d rounds, %d changes acknowledged", rounds, acknowledged)
	if acknowledged < rounds {
		t.Errorf("%d changes were acknowledged in %d rounds: too few to show anything", acknowledged, rounds)
	}
}

// killed returns what the writer in that mode said before it was killed: mostly in the middle of its work, at times while it
// opens or makes the database.
func killed(t *testing.T, mode, db string) (events []string) {
	t.Helper()
	p := start(t, mode, db)
	if rand.IntN(4) > 0 && !p.lines.Scan() {
		t.Fatalf("the writer ended by itself: %v", errors.Join(p.lines.Err(), p.Wait()))
	}
	alarm := time.AfterFunc(rand.N(killWithin), func() { _ = p.Process.Kill() })
	defer alarm.Stop()
	for p.lines.Scan() {
		if p.lines.Text() != ready {
			events = append(events, p.lines.Text())
		}
	}
	_ = p.Wait()
	if p.ProcessState.Exited() && p.ProcessState.ExitCode() != 0 {
		t.Fatalf("the writer ended by itself: %v; it said:\n%s", p.ProcessState, strings.Join(events, "\n"))
	}
	return events
}

// inspect opens the database, holds it against the ledger, and lets the ledger go on from what is there.
func inspect(db string, l *ledger, invariants func(*queue.Queue) error) (err error) {
	q, err := queue.Open(db, "a", queue.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	if err := invariants(q); err != nil {
		return err
	}
	for lane := range lanes {
		var versions [2]int64
		for i, path := range lanePaths(lane) {
			f, err := q.File(path)
			if err != nil && !errors.Is(err, codestory.ErrNotFound) {
				return err
			}
			if err := l.file(path).check(f); err != nil {
				return fmt.Errorf("%s: %w; it is %s", path, err, show(f))
			}
			versions[i] = f.Version.Size
			*l.file(path) = since(f)
		}
		if versions[0] != versions[1] {
			return fmt.Errorf("half of one Enqueue is there: versions %d of lane %d", versions, lane)
		}
		if versions[0] == 0 {
			continue
		}
		if s, err := q.Story(laneStory(lane)); err != nil || s.Metadata.Title != titleOf(versions[0]) {
			return fmt.Errorf("the story of lane %d at version %d is %+v, %w", lane, versions[0], s, err)
		}
	}
	return nil
}
