package watch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
)

func TestHowLongAFileHasRestedByItsOwnTimes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).UnixNano() }
	for _, c := range []struct {
		name         string
		mtime, ctime int64
		rested       bool
	}{
		{"old", at(-time.Hour), at(-time.Minute), true},
		{"restored modification time", at(-time.Hour), at(0), false},
		{"modification time in the future", at(time.Hour), at(-time.Hour), true},
		{"change time in the future", at(-time.Hour), at(time.Hour), false},
		{"no change time", at(-time.Hour), 0, false},
		{"a change time of whole seconds", at(0), now.Truncate(time.Second).UnixNano(), false},
	} {
		v := codestory.Version{ModTime: c.mtime, ChangeTime: c.ctime}
		if got := time.Since(changed(v)) >= 10*time.Second; got != c.rested {
			t.Errorf("%s: rested = %v, want %v", c.name, got, c.rested)
		}
	}
}

func TestAScanWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(nil, nil, Options{Settle: settle})
		for i := range maxSettling {
			w.settling.addFound(Change{Name: fmt.Sprint(i)})
		}
		room := make(chan struct{})
		go func() {
			defer close(room)
			w.waitForRoom(t.Context())
		}()
		time.Sleep(time.Minute)
		select {
		case <-room:
			t.Fatal("there was room")
		default:
		}
		due, _ := w.settling.take(1)
		if len(due) != 1 || !w.settling.judge(due[0], codestory.Version{}, writersNone, nil) {
			t.Fatalf("%d files are due, want one that is finished", len(due))
		}
		w.settling.taken(due)
		<-room
	})
}

// What most tools that copy do right after they close a file costs no time.
func TestRetouched(t *testing.T) {
	t.Parallel()
	closed := codestory.Version{Size: 9, ModTime: 1000, ChangeTime: 1000, Inode: 5}
	with := func(edit func(v *codestory.Version)) codestory.Version {
		v := closed
		v.ChangeTime = 2000
		edit(&v)
		return v
	}
	for name, c := range map[string]struct {
		v    codestory.Version
		row  int
		want bool
	}{
		"rights set":            {v: with(func(*codestory.Version) {}), want: true},
		"times set":             {v: with(func(v *codestory.Version) { v.ModTime = 1 }), want: true},
		"written":               {v: with(func(v *codestory.Version) { v.ModTime = 2000 })},
		"written and times set": {v: with(func(v *codestory.Version) { v.ModTime, v.Size = 1, 10 })},
		"replaced":              {v: with(func(v *codestory.Version) { v.Inode = 6 })},
		"once too often":        {v: with(func(*codestory.Version) {}), row: maxRetouched + 1},
	} {
		f := &candidate{Change: Change{Version: c.v}, last: &closed, row: c.row}
		if got := f.retouched(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A recheck that is requested while the file is handed on is not lost with it.
func TestARecheckWhileTheFileIsHandedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSettling(settle)
		v := codestory.Version{Size: 1}
		const path = codestory.Path(storyA + "/cover.jpg")
		s.add(Change{Name: string(path), Path: path, Version: v})
		due, _ := s.take(1)
		if !s.judge(due[0], v, writersNone, nil) {
			t.Fatal("the file is not finished")
		}
		s.recheck(path)
		s.taken(due)
		time.Sleep(settle)
		due, _ = s.take(1)
		if len(due) != 1 || !s.judge(due[0], v, writersNone, nil) {
			t.Error("the file is not handed on again")
		}
	})
}
