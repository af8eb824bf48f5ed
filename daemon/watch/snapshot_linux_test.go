package watch

import (
	"io"
	"sync"
	"testing"
)

// However many files play, and however many players pause in the middle of them, few snapshots are in memory.
func TestWriteRangeKeepsLittle(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes for seconds")
	}
	t.Parallel()
	content := make([]byte, 200*pieceSize)
	tree, _ := playable(t, content)
	var all sync.WaitGroup
	resume := make(chan struct{})
	for i := range 200 {
		f := steady(t, tree)
		r, w := io.Pipe()
		all.Go(func() {
			n, err := f.WriteRange(w, int64(i)*pieceSize, pieceSize)
			if n != pieceSize || err != nil {
				t.Errorf("player %d: %d bytes, %v", i, n, err)
			}
			_ = w.Close()
		})
		if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			<-resume
			_, _ = io.Copy(io.Discard, r)
		})
	}
	if n := tree.snapshots.live.Load(); n > maxLive {
		t.Errorf("%d snapshots are in memory", n)
	}
	close(resume)
	all.Wait()
	if n := tree.snapshots.live.Load(); n > maxSnapshots {
		t.Errorf("%d snapshots are in memory when nobody plays", n)
	}
}
