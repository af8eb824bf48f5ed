package watch

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
)

func TestQuiet(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).UnixNano() }
	for _, c := range []struct {
		name         string
		mtime, ctime int64
		want         bool
	}{
		{"both old", at(-time.Hour), at(-time.Minute), true},
		{"just old enough", at(-settle), at(-settle), true},
		{"restored modification time", at(-time.Hour), at(0), false},
		{"modification time in the future", at(time.Hour), at(-time.Hour), false},
		{"change time in the future", at(-time.Hour), at(time.Hour), false},
		{"no change time", at(-time.Hour), 0, false},
	} {
		v := codestory.Version{ModTime: c.mtime, ChangeTime: c.ctime}
		if got := quiet(v, now, settle); got != c.want {
			t.Errorf("%s: quiet = %v, want %v", c.name, got, c.want)
		}
	}
}

// What has not changed since before the daemon came need not wait.
func TestAnOldFileIsFinishedAtTheFirstLook(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	name := storyA + "/cover.jpg"
	r.write(name, "x")
	v, err := r.tree.Stat(codestory.Path(name))
	if err != nil {
		t.Fatal(err)
	}
	if v.ChangeTime == 0 {
		t.Skip("the system tells no change time")
	}
	r.wait("it to be old", func() bool { return quiet(v, time.Now(), settle) })
	r.w.pending.add(Change{Name: name, Path: codestory.Path(name), Version: v})
	looks, _ := r.w.pending.take(maxBatch)
	if finished := r.w.finished(looks); len(finished) != 1 || finished[0].version != v {
		t.Errorf("of %d looks %d are finished, want one of one", len(looks), len(finished))
	}
}

func TestAScanWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPending(settle)
		for i := range maxFromScan {
			p.add(Change{Name: fmt.Sprint(i)})
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		answers := make(chan error, 2)
		for range 2 {
			go func() { answers <- p.waitForRoom(ctx) }()
		}
		synctest.Wait()
		if len(answers) > 0 {
			t.Fatal("there was room")
		}
		time.Sleep(settle)
		looks, wait := p.take(1)
		if len(looks) != 1 || wait != 0 {
			t.Fatalf("took %d, the next due in %v", len(looks), wait)
		}
		p.done(looks[0])
		for range 2 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		p.add(Change{Name: "one more"})
		cancel()
		if err := p.waitForRoom(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("waitForRoom = %v, want the context's error", err)
		}
	})
}

func TestWhatWasHandedOnIsRememberedForAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecent(settle)
		one, two := codestory.Version{Size: 1}, codestory.Version{Size: 2}
		r.note("a", one, time.Now())
		r.note("a", two, time.Now())
		for i := range 3 * maxRecent { // forgets the oldest
			r.note(fmt.Sprint(i), one, time.Now())
		}
		if n := len(r.young) + len(r.old); n > 2*maxRecent {
			t.Errorf("%d are remembered, want %d at most", n, 2*maxRecent)
		}
		r.note("a", two, time.Now())
		time.Sleep(settle - 1)
		r.note("b", one, time.Now())
		if v, ok := r.of("a", time.Now()); !ok || v.version != two {
			t.Errorf("after less than the window: %v, %v", v, ok)
		}
		time.Sleep(time.Nanosecond)
		r.note("c", one, time.Now())
		if _, ok := r.of("a", time.Now()); ok {
			t.Error("remembered for longer than the window")
		}
		if v, ok := r.of("b", time.Now()); !ok || v.version != one {
			t.Errorf("of b: %v, %v", v, ok)
		}
	})
}

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
		"once too often":        {v: with(func(*codestory.Version) {}), row: maxRetouched},
	} {
		if got := (handed{version: closed, row: c.row}).isRetouched(c.v); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestFilesAreTakenWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPending(settle)
		if looks, wait := p.take(9); len(looks) != 0 || wait != -1 {
			t.Errorf("of nothing: %d, %v", len(looks), wait)
		}
		// Both have to be quiet.
		add := func(name string) {
			p.add(Change{Name: name})
			looks, _ := p.take(1)
			looks[0].rule = byQuiet
			p.putBack(looks[0], 0, "")
		}
		add("a")
		time.Sleep(settle / 2)
		add("b")
		if looks, wait := p.take(9); len(looks) != 0 || wait != settle/2 {
			t.Errorf("before they are due: %d, %v", len(looks), wait)
		}
		time.Sleep(settle / 2)
		looks, wait := p.take(9)
		if len(looks) != 1 || looks[0].name != "a" || wait != settle/2 {
			t.Fatalf("when a is due: %v, %v", looks, wait)
		}
		// A look that found it busy, and an event that cannot wait for as long as the next one.
		p.putBack(looks[0], time.Hour, reasonHeld)
		if reason, settles := p.reason("a"); reason != reasonHeld || !settles {
			t.Errorf("reason = %q, %v", reason, settles)
		}
		p.touch("a")
		time.Sleep(settle)
		if looks, _ = p.take(9); len(looks) != 2 {
			t.Errorf("%d are due, want both", len(looks))
		}
		if p.touch("c") {
			t.Error("touch of a file that does not settle")
		}
		// Of others there is nothing to wait for.
		p.add(Change{Name: "c"})
		if looks, _ = p.take(9); len(looks) != 1 || looks[0].name != "c" {
			t.Errorf("took %v, want the new file at once", looks)
		}
	})
}
