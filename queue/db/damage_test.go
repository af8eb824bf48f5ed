package db

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	noiseSeed = flag.Uint64("noise", 1, "the seed of the noise that damages databases")
	pageSize  = os.Getpagesize()
)

// damagedCopy copies a sample and its backup, and damages the copy.
func damagedCopy(t *testing.T, sample string, damage func(content []byte) []byte) (path string, damaged []byte) {
	t.Helper()
	path = newPath(t)
	damaged = damage(read(t, sample))
	must(t, errors.Join(os.WriteFile(path, damaged, 0o600), os.WriteFile(path+backupSuffix, read(t, sample+backupSuffix), 0o600)))
	return path, damaged
}

// recovers opens a damaged database: it is whole after all, or set aside as it was, and the backup in its place.
func recovers(t *testing.T, path string, damaged []byte) (aside bool) {
	t.Helper()
	db := openAt(t, path, checked())
	opened := db.Opened()
	want := sampleKeys
	if aside = opened.New; aside {
		want = sampleKeys / 2
		if opened.Reason == "" || opened.Backup.IsZero() || !opened.Lost || !bytes.Equal(read(t, opened.Aside), damaged) {
			t.Errorf("opened: %+v", opened)
		}
	}
	if n, err := keysOf(t, db); n != want || err != nil {
		t.Errorf("it has %d keys, want %d: %v", n, want, err)
	}
	put(t, db, "new", "value")
	must(t, db.View((*Tx).Check))
	must(t, db.Close())
	return aside
}

func TestDamagedPages(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it damages a database many times")
	}
	t.Parallel()
	sample := newSample(t)
	size := used(t, sample)
	rng := rand.New(rand.NewPCG(*noiseSeed, 0))
	set := 0
	for at := 0; at < size; at += pageSize {
		for name, harm := range map[string]func(page []byte){
			"noise": func(page []byte) {
				for i := range page {
					page[i] = byte(rng.Uint32())
				}
			},
			"zeros": func(page []byte) { clear(page) },
		} {
			path, damaged := damagedCopy(t, sample, func(content []byte) []byte {
				harm(content[at : at+pageSize])
				return content
			})
			if recovers(t, path, damaged) {
				set++
			} else if at < 2*pageSize {
				t.Errorf("%s in meta page %d were not noticed", name, at/pageSize)
			}
		}
	}
	if set < size/pageSize { // of twice as many
		t.Errorf("%d of %d pages mattered", set, 2*size/pageSize)
	}
}

// TestDamagedBit: a value of which one bit was flipped.
func TestDamagedBit(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	flip(t, path)
	if !recovers(t, path, read(t, path)) {
		t.Error("it was not noticed")
	}
}

// TestDamagedCut: a database that was cut short, at each of its pages and within some.
func TestDamagedCut(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it damages a database many times")
	}
	t.Parallel()
	sample := newSample(t)
	size := used(t, sample)
	sizes := []int{1, 100, 4095, 4097, 5000, 8191, 20_000, size / 2}
	for n := pageSize; n < size; n += 3 * pageSize {
		sizes = append(sizes, n)
	}
	for _, n := range sizes {
		path, damaged := damagedCopy(t, sample, func(content []byte) []byte { return content[:n] })
		if !recovers(t, path, damaged) && n < size {
			t.Errorf("%d of %d bytes are taken for whole", n, size)
		}
	}
}

// TestDamagedWhole: files that are no database at all, with a check and without one.
func TestDamagedWhole(t *testing.T) {
	t.Parallel()
	for name, content := range map[string][]byte{
		"text":      []byte("dear diary\n"),
		"long text": bytes.Repeat([]byte("dear diary\n"), 10_000),
		"zeros":     make([]byte, 40_000),
		"one zero":  make([]byte, 1),
	} {
		for _, opts := range []Options{{}, checked()} {
			path := newPath(t)
			must(t, os.WriteFile(path, content, 0o600))
			for _, err := range refused(t, path, Options{ReadOnly: true}) {
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if got := openAt(t, path, opts).Opened(); !got.New || !got.Lost || got.Aside == "" || !got.Backup.IsZero() {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
}

// TestDamagedFreelist: pages that are in use stand among the free ones. bbolt finds out in the middle of a write, and at
// times again while it rolls that back, and then never releases its lock. Nobody waits for that, and nothing more is
// written.
func TestDamagedFreelist(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it damages a database many times")
	}
	t.Parallel()
	sample := newSample(t)
	for n := range 8 {
		path, damaged := damagedCopy(t, sample, func(content []byte) []byte { return freeUsed(content, n+1) })
		db := openAt(t, path, Options{})
		var err error
		for round := 0; err == nil && round < 100; round++ {
			err = db.Batch(func(tx *Tx) (err error) {
				for n := range sampleKeys {
					err = errors.Join(err, tx.Bucket(bucketA).Put(sampleKey(n), make([]byte, round)))
				}
				return err
			})
		}
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("in a hundred writes the error was %v", err)
		}
		before := read(t, path)
		for range 3 {
			if err := db.Batch(func(*Tx) error { return nil }); !errors.Is(err, ErrDamaged) {
				t.Errorf("after that Batch gave %v", err)
			}
		}
		if !bytes.Equal(read(t, path), before) {
			t.Error("after that it was written to")
		}
		must(t, db.Close())
		again := openAt(t, path, Options{After: err})
		if got := again.Opened(); got.Aside == "" || got.Backup.IsZero() {
			t.Errorf("opened again: %+v", got)
		}
		path, damaged = damagedCopy(t, sample, func([]byte) []byte { return damaged })
		if !recovers(t, path, damaged) {
			t.Error("a check finds nothing")
		}
	}
}

// freeUsed replaces the ids of up to n free pages by those of pages in use. For where bbolt has what see its
// internal/common, page.go and meta.go.
func freeUsed(content []byte, n int) []byte {
	const header, metaFreelist, metaTxid = 16, 16 + 32, 16 + 48
	word := func(at int) uint64 { return binary.NativeEndian.Uint64(content[at:]) }
	newest := 0
	if word(pageSize+metaTxid) > word(metaTxid) {
		newest = pageSize
	}
	page := int(word(newest+metaFreelist)) * pageSize
	count := int(binary.NativeEndian.Uint16(content[page+10:]))
	free := map[uint64]bool{uint64(page / pageSize): true}
	for i := range count {
		free[word(page+header+8*i)] = true
	}
	for id, i := uint64(2), 0; i < min(n, count); id++ {
		if !free[id] {
			binary.NativeEndian.PutUint64(content[page+header+8*i:], id)
			i++
		}
	}
	return content
}

// harms are what may happen to a database that is open.
var harms = map[string]func(path string) error{
	"noise":   func(path string) error { return overwrite(path, 2*pageSize, -1) },
	"metas":   func(path string) error { return overwrite(path, 0, 2*pageSize) },
	"cut":     func(path string) error { return os.Truncate(path, int64(3*pageSize)) },
	"empty":   func(path string) error { return os.Truncate(path, 0) },
	"removed": os.Remove,
	"replaced": func(path string) error {
		return errors.Join(os.WriteFile(path+".other", []byte("noise"), 0o600), os.Rename(path+".other", path))
	},
}

// overwrite writes noise over n bytes of the file; -1 for all that follow.
func overwrite(path string, at, n int) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if n < 0 {
		n = int(info.Size()) - at
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0xf7}, n), int64(at))
	return errors.Join(err, f.Close())
}

// TestDamagedWhileOpen: whatever happens to the file of an open database ends Run, every call returns, and it is opened
// again from its backup.
func TestDamagedWhileOpen(t *testing.T) {
	t.Parallel()
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newSample(t)
			synctest.Test(t, func(t *testing.T) {
				db := openAt(t, path, Options{})
				ended := make(chan error, 1)
				go func() { ended <- db.Run(t.Context()) }()
				must(t, harm(path))
				for range 3 { // readers and writers, at once
					go func() { _, _ = keysOf(t, db) }()
					go func() { _ = db.Batch(func(tx *Tx) error { return tx.Bucket(bucketA).Put([]byte("k"), nil) }) }()
				}
				began := time.Now()
				err := <-ended
				if !errors.Is(err, ErrDamaged) || time.Since(began) > lookEvery {
					t.Fatalf("after %v Run gave %v", time.Since(began), err)
				}
				synctest.Wait()
				must(t, db.Close())
				again := openAt(t, path, Options{After: err})
				got := again.Opened()
				if !got.New || !got.Lost || got.Backup.IsZero() || (got.Aside == "") != (name == "removed") {
					t.Errorf("opened again: %+v", got)
				}
				if n, err := keysOf(t, again); n != sampleKeys/2 || err != nil {
					t.Errorf("%d keys, %v", n, err)
				}
				must(t, again.Close())
			})
		})
	}
}

// TestReplacedByAWhole: a database that somebody has put in the place of the one in use is taken as it is.
func TestReplacedByAWhole(t *testing.T) {
	t.Parallel()
	path, other := newSample(t), newSample(t)
	db := openAt(t, path, Options{})
	must(t, os.Rename(other, path))
	err := db.met(fmt.Errorf("%w: replaced", ErrDamaged))
	must(t, db.Close())
	again := openAt(t, path, Options{After: err})
	if got := again.Opened(); got != (Opened{}) {
		t.Errorf("opened again: %+v", got)
	}
}

// TestRemovedWhileClosed: the backup takes the place of a database that is gone.
func TestRemovedWhileClosed(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	must(t, os.Remove(path))
	must(t, os.WriteFile(path+newSuffix, []byte("of a process that was killed"), 0o600))
	if got := openAt(t, path, checked()).Opened(); !got.Lost || got.Backup.IsZero() || got.Aside != "" {
		t.Errorf("opened: %+v", got)
	}
}

// TestDamagedBackup: a backup that is damaged too is not taken.
func TestDamagedBackup(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	must(t, errors.Join(overwrite(path, 2*pageSize, -1), overwrite(path+backupSuffix, 3*pageSize, pageSize)))
	db := openAt(t, path, checked())
	if got := db.Opened(); !got.Lost || !got.Backup.IsZero() || got.Aside == "" {
		t.Errorf("opened: %+v", got)
	}
	if n, err := keysOf(t, db); n != 0 || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
}

// TestDamagedAgainAndAgain: a disk that damages one database after another is not filled with them.
func TestDamagedAgainAndAgain(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	for range 6 {
		must(t, os.WriteFile(path, []byte("noise"), 0o600))
		must(t, openAt(t, path, Options{}).Close())
	}
	if found := Asides(path); len(found) != maxAside {
		t.Errorf("set aside are %q", found)
	}
	left, err := filepath.Glob(path + ".*" + newSuffix)
	if err != nil || len(left) > 0 {
		t.Errorf("left are %q, %v", left, err)
	}
}

// TestCheckThatEnds: a check that dies or takes too long is damage. One that was ended, or never began, says nothing.
func TestCheckThatEnds(t *testing.T) {
	t.Parallel()
	path := newSample(t)
	before := read(t, path)
	ended, end := context.WithCancel(t.Context())
	end()
	missing := func(ctx context.Context, path string) *exec.Cmd { return exec.CommandContext(ctx, path+".none") }
	for name, tc := range map[string]struct {
		ctx      context.Context
		patience time.Duration
		command  func(ctx context.Context, path string) *exec.Cmd
		damaged  bool
	}{
		"whole":    {t.Context(), time.Minute, inMode(modeCheck), false},
		"dies":     {t.Context(), time.Minute, inMode(modeFault), true},
		"hangs":    {t.Context(), 100 * time.Millisecond, inMode(modeHang), true},
		"is ended": {ended, time.Minute, inMode(modeHang), false},
		"missing":  {t.Context(), time.Minute, missing, false},
	} {
		err := checkWithin(tc.ctx, tc.patience, path, tc.command)
		if errors.Is(err, ErrDamaged) != tc.damaged || (err == nil) != (name == "whole") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckWith(t.Context(), path+".none", missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
	opts := Options{Check: func(ctx context.Context, path string) error { return CheckWith(ctx, path, missing) }}
	must(t, openAt(t, path, opts).Close())
	if !bytes.Equal(read(t, path), before) {
		t.Error("the database has changed")
	}
	if got := openAt(t, path, checkedIn(modeFault)).Opened(); got.Aside == "" || got.Backup.IsZero() == false {
		t.Errorf("after a check that died: %+v", got) // and that of the backup too
	}
}
