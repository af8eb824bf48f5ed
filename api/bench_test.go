package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/julienschmidt/httprouter"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

// What the API costs beside a bare handler of the same answer. Hold the two of a pair against each other, in one run:
//
//	go test -run '^$' -bench . -cpu 8 ./api

// asking measures requests of keep-alive clients, one for each of -cpu.
func asking(b *testing.B, h http.Handler, target string, headers ...string) {
	b.Helper()
	srv := httptest.NewServer(h)
	b.Cleanup(srv.Close)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.Cleanup(client.CloseIdleConnections)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, srv.URL+target, nil)
			if err != nil {
				b.Error(err)
				return
			}
			for i := 0; i < len(headers); i += 2 {
				req.Header.Set(headers[i], headers[i+1])
			}
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode/100 != 2 {
				b.Errorf("%s, %v", resp.Status, err)
				return
			}
		}
	})
}

func BenchmarkLink(b *testing.B) {
	w := newFakes(b, api.Options{})
	w.lib.storeURL = "http://127.0.0.1:9000"
	target := storyURL(aliceStory, "/audio")
	rec := w.record("GET", target, ownerToken)
	b.Run("api", func(b *testing.B) { asking(b, w.handler, target, "Authorization", "Bearer "+ownerToken) })
	b.Run("bare", func(b *testing.B) {
		router := httprouter.New()
		router.GET("/api/storage/stories/:id/audio", func(w http.ResponseWriter, _ *http.Request, _ httprouter.Params) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(rec.Body.Bytes())
		})
		asking(b, router, target, "Authorization", "Bearer "+ownerToken)
	})
}

// rootBody is a file that is reached through an os.Root.
type rootBody struct{ *os.File }

func (f rootBody) Range(offset, length int64) (io.Reader, error) {
	_, err := f.Seek(offset, io.SeekStart)
	return io.LimitReader(f.File, length), err
}

// rootLibrary has one file, in root.
type rootLibrary struct {
	*library
	root *os.Root
	size int64
}

func (l rootLibrary) OpenHere(_ context.Context, path codestory.Path) (*codestory.Content, error) {
	f, err := l.root.Open(string(path))
	if err != nil {
		return nil, err
	}
	return &codestory.Content{Body: rootBody{f}, Size: l.size, Modified: modified, ETag: "x"}, nil
}

func BenchmarkLocalRange(b *testing.B) {
	w := newFakes(b, api.Options{})
	path, dir, size := codestory.StoryAudioPath(homeStory), b.TempDir(), int64(8<<20)
	if err := os.MkdirAll(filepath.Join(dir, string(homeStory), "audio"), 0o777); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(string(path))), make([]byte, size), 0o666); err != nil {
		b.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = root.Close() })
	services := w.services()
	services.Library = rootLibrary{w.lib, root, size}
	handler := api.New(services, api.Options{})
	for _, length := range []int64{64 << 10, 1 << 20, 4 << 20} {
		header := fmt.Sprintf("bytes=1000-%d", 999+length)
		b.Run(fmt.Sprintf("%dKiB/api", length>>10), func(b *testing.B) {
			b.SetBytes(length)
			asking(b, handler, w.playURL(path), "Range", header)
		})
		b.Run(fmt.Sprintf("%dKiB/bare", length>>10), func(b *testing.B) {
			b.SetBytes(length)
			asking(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				f, err := root.Open(string(path))
				if err != nil {
					http.Error(w, err.Error(), http.StatusNotFound)
					return
				}
				defer f.Close()
				_, _ = f.Seek(1000, io.SeekStart)
				w.Header().Set("Content-Type", "audio/mpeg")
				w.Header().Set("Content-Length", fmt.Sprint(length))
				w.WriteHeader(http.StatusPartialContent)
				_, _ = io.CopyN(w, f, length)
			}), "/", "Range", header)
		})
	}
}
