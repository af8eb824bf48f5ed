package watch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

// What it costs to find out that files are finished, and to read them for players.
//
//	go test -run '^$' -bench . -benchtime 500x ./daemon/watch

// sinkFunc is a Sink.
type sinkFunc func(files []Change, ready func(Change) bool) error

func (f sinkFunc) Finished(_ context.Context, files []Change, ready func(Change) bool) error {
	return f(files, ready)
}

// runWatcher runs a watcher of dir until the benchmark ends, or stop is called, and returns after its first scan.
func runWatcher(b *testing.B, dir string, sink sinkFunc) (stop func()) {
	b.Helper()
	tree, err := OpenTree(dir)
	if err != nil {
		b.Fatal(err)
	}
	w := New(tree, sink, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	for w.Status().LastScan == nil {
		time.Sleep(time.Millisecond)
	}
	return func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}

// The time from the close of a file of 64 KiB, written in four pieces, until the sink has it.
func BenchmarkCloseToFinished(b *testing.B) {
	dir := b.TempDir()
	if err := os.Mkdir(filepath.Join(dir, storyA), 0o755); err != nil {
		b.Fatal(err)
	}
	finished := make(chan Change, 1)
	defer runWatcher(b, dir, func(files []Change, ready func(Change) bool) error {
		for _, c := range files {
			if ready(c) {
				finished <- c
			}
		}
		return nil
	})()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		time.Sleep(5 * time.Millisecond)
		f, err := os.Create(filepath.Join(dir, storyA, fmt.Sprint(i)))
		if err != nil {
			b.Fatal(err)
		}
		for piece := range 4 {
			if piece > 0 {
				time.Sleep(2 * time.Millisecond)
			}
			_, _ = f.Write(make([]byte, 16<<10))
		}
		_ = f.Close()
		closed := time.Now()
		if c := <-finished; c.Version.Size != 64<<10 {
			b.Fatalf("finished with %d bytes", c.Version.Size)
		}
		took = append(took, time.Since(closed))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median")
	b.ReportMetric(float64(took[len(took)*9/10].Microseconds()), "µs-p90")
}

// A scan of 20,000 files that are known.
func BenchmarkScan(b *testing.B) {
	dir := b.TempDir()
	for i := range 20_000 {
		name := filepath.Join(dir, fmt.Sprintf("%08x-7d5a-4a63-9a2b-0f6f0d5c1a11", i/100), fmt.Sprint(i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		runWatcher(b, dir, func([]Change, func(Change) bool) error { return nil })()
	}
}

func BenchmarkRange(b *testing.B) {
	dir := b.TempDir()
	path := codestory.StoryAudioPath(storyA)
	put(b, dir, string(path))
	if err := os.Truncate(filepath.Join(dir, filepath.FromSlash(string(path))), 8<<20); err != nil {
		b.Fatal(err)
	}
	tree, err := OpenTree(dir)
	if err != nil {
		b.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	time.Sleep(heldOpen + 10*time.Millisecond) // so that OpenStable need not wait
	for _, length := range []int64{64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB/tree", length>>10), func(b *testing.B) {
			benchHandler(b, length, func(w http.ResponseWriter, r *http.Request) {
				f, err := tree.OpenStable(r.Context(), path)
				if err != nil {
					http.Error(w, err.Error(), http.StatusNotFound)
					return
				}
				defer f.Close()
				w.Header().Set("Content-Type", "audio/mpeg")
				w.Header().Set("Content-Length", fmt.Sprint(length))
				w.WriteHeader(http.StatusPartialContent)
				_, _ = f.WriteRange(w, 1000, length)
			})
		})
		b.Run(fmt.Sprintf("%dKiB/bare", length>>10), func(b *testing.B) {
			benchHandler(b, length, func(w http.ResponseWriter, r *http.Request) {
				f, err := root.Open(string(path))
				if err != nil {
					http.Error(w, err.Error(), http.StatusNotFound)
					return
				}
				defer f.Close()
				http.ServeContent(w, r, "story.mp3", time.Time{}, f)
			})
		})
	}
}

// benchHandler gets ranges of a file with keep-alive clients, one for each of -cpu.
func benchHandler(b *testing.B, length int64, h http.HandlerFunc) {
	srv := httptest.NewServer(h)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	b.SetBytes(length)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, srv.URL, nil)
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Range", fmt.Sprintf("bytes=1000-%d", 999+length))
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			n, err := io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if n != length || err != nil {
				b.Errorf("got %d bytes, %v", n, err)
				return
			}
		}
	})
}
