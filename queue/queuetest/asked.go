package queuetest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// KillAsked lets another process drop one file after another, back the database up and kills it at some moment, for the
// given number of rounds. Then the database is damaged: all that was dropped before the last backup has to be dropped in
// the one that takes its place.
func KillAsked(t *testing.T, rounds int) {
	t.Helper()
	total := 0
	for round := 0; round < rounds || total < rounds && round < maxRounds*rounds; round++ {
		db := filepath.Join(t.TempDir(), "codestoryd.db")
		dropped := map[string]bool{}
		for range 2 { // the second goes on where the first was killed
			var since []string // the last backup
			for _, line := range killed(t, modeAsk, db) {
				if path, ok := strings.CutPrefix(line, acked+" "); ok {
					since = append(since, path)
				}
				if line == backedUp {
					for _, path := range since {
						dropped[path] = true
					}
					since = nil
				}
			}
		}
		if err := os.WriteFile(db, bytes.Repeat([]byte("noise"), 10_000), 0o600); err != nil {
			t.Fatal(err)
		}
		total += len(dropped)
		if err := inspectAsked(db, dropped); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	t.Logf("%d rounds, %d drops backed up", rounds, total)
	if total < rounds {
		t.Errorf("%d drops were backed up in %d rounds: too few to show anything", total, rounds)
	}
}

// inspectAsked opens the damaged database, and holds what is dropped in the new one against what has to be.
func inspectAsked(db string, dropped map[string]bool) error {
	q, err := queue.Open(db, "a", queue.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	for path := range dropped {
		if f, err := q.File(codestory.Path(path)); err != nil || f.State != codestory.LeftOut {
			return fmt.Errorf("%s was dropped, and is %s, %w", path, f.State, err)
		}
	}
	if r := q.Recovery(); r == nil || r.Aside == "" || len(dropped) > 0 && r.Backup.IsZero() {
		return fmt.Errorf("recovered: %+v", r)
	}
	return nil
}

const backedUp = "backed up"

// ask enqueues and drops files until it is killed.
func ask(path string) error {
	q, err := queue.Open(path, "a", queue.Options{})
	if err != nil {
		return err
	}
	fmt.Println(ready)
	ctx, cancel := context.WithTimeout(context.Background(), writerLimit)
	defer cancel()
	for n := 1; ctx.Err() == nil; n++ {
		file := string(codestory.ChapterPath(laneStory(0), n))
		if f, err := q.File(codestory.Path(file)); err == nil && f.State == codestory.LeftOut {
			continue // by the one before us
		}
		if err := q.Enqueue([]queue.Change{{Path: file, Version: versionOf(1)}}); err != nil {
			return err
		}
		if err := q.Drop(file, "dropped"); err != nil {
			return err
		}
		say(acked, file)
		if n%2 == 0 {
			if err := q.Backup(ctx); err != nil {
				return err
			}
			fmt.Println(backedUp)
		}
	}
	return q.Close()
}
