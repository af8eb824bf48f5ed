package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

const (
	formBoundary = "multipart/form-data; boundary=x"
	fileHead     = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n"
	formTail     = "\r\n--x--\r\n"
)

// signedForm is a form for the audio of a story, its URL's path, and its fields as they are posted.
func (w *world) signedForm(lifetime string) (path, fields string) {
	w.t.Helper()
	form := wantForm(w.t.(*testing.T), w.record("POST", storyURL(noStory, "/audio/upload-url?expires_in="+lifetime), ownerToken).Result())
	u, err := url.Parse(form.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	var b strings.Builder
	for name, value := range form.Fields {
		fmt.Fprintf(&b, "--x\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", name, value)
	}
	return u.Path, b.String()
}

func (w *world) wantNothingStored() {
	w.t.Helper()
	w.lib.mu.Lock()
	defer w.lib.mu.Unlock()
	if f, stored := w.lib.files[codestory.StoryAudioPath(noStory)]; stored {
		w.t.Errorf("%d bytes were stored", len(f.data))
	}
}

// counted counts what is read of it.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// TestUnprovedFormIsRead64KiB: without a signature nobody makes the daemon read, and keep, more than that.
func TestUnprovedFormIsRead64KiB(t *testing.T) {
	t.Parallel()
	w := newFakes(t, api.Options{})
	path, fields := w.signedForm("60")
	long := func() io.Reader { return io.LimitReader(zeros{}, 10<<20) }
	for name, body := range map[string]io.Reader{
		"a long header":            io.MultiReader(strings.NewReader("--x\r\nA: "), long(), strings.NewReader("\r\n\r\n")),
		"many headers":             strings.NewReader("--x\r\n" + strings.Repeat("A: b\r\n", 200_000)),
		"a long field":             io.MultiReader(strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n"), long()),
		"many fields":              strings.NewReader(strings.Repeat("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n", 50_000)),
		"a preamble":               long(),
		"a header after the proof": io.MultiReader(strings.NewReader(fields+"--x\r\nA: "), long()),
	} {
		t.Run(name, func(t *testing.T) {
			read := &counted{Reader: body}
			wantProblem(t, w.recordBody("POST", path, read, formBoundary).Result(), 400, "invalid_body")
			if read.n > 64<<10 {
				t.Errorf("%d bytes were read", read.n)
			}
		})
	}
	w.wantNothingStored()
}

// TestFormTakesOneFile: what follows the file is a few fields, or nothing is stored.
func TestFormTakesOneFile(t *testing.T) {
	t.Parallel()
	w := newFakes(t, api.Options{})
	path, fields := w.signedForm("60")
	field := "\r\n--x\r\nContent-Disposition: form-data; name=\"submit\""
	for name, rest := range map[string]io.Reader{
		"a second file":     strings.NewReader("\r\n" + fileHead + "more"),
		"a file beside it":  strings.NewReader(field + "; filename=\"f\"\r\n\r\nmore"),
		"a long field":      io.MultiReader(strings.NewReader(field+"\r\n\r\n"), io.LimitReader(zeros{}, 1<<20)),
		"a long header":     io.MultiReader(strings.NewReader(field+"\r\nA: "), io.LimitReader(zeros{}, 1<<20)),
		"no end":            strings.NewReader("\r\n--x\r"),
		"a header, and cut": io.MultiReader(strings.NewReader(field), failing{}),
	} {
		t.Run(name, func(t *testing.T) {
			read := &counted{Reader: io.MultiReader(strings.NewReader(fields+fileHead+"sound"), rest, strings.NewReader(formTail))}
			wantProblem(t, w.recordBody("POST", path, read, formBoundary).Result(), 400, "invalid_body")
			if read.n > 128<<10 {
				t.Errorf("%d bytes were read", read.n)
			}
		})
	}
	w.wantNothingStored()
	body := strings.NewReader(fields + fileHead + "sound" + field + "\r\n\r\nUpload" + formTail)
	wantStatus(t, w.recordBody("POST", path, body, formBoundary).Result(), 204)
	if got := string(w.lib.files[codestory.StoryAudioPath(noStory)].data); got != "sound" {
		t.Errorf("stored %q", got)
	}
}

// TestHalfSentFormsKeepNobodyOut: however many forms are held back, one that is sent is taken at once.
func TestHalfSentFormsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path, fields := w.signedForm("60")
	u, err := url.Parse(w.public)
	if err != nil {
		t.Fatal(err)
	}
	half := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n--x\r\nContent-Dis",
		path, formBoundary)
	var conns []net.Conn
	for range 80 {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, half); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	evicted := make(chan *http.Response, len(conns))
	var answers sync.WaitGroup
	for _, conn := range conns {
		answers.Go(func() {
			if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
				evicted <- resp
			}
		})
	}
	defer answers.Wait()
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	wantProblem(t, <-evicted, 503, "busy") // so there are as many as there may be
	begun := time.Now()
	req, err := http.NewRequestWithContext(t.Context(), "POST", w.public+path, strings.NewReader(fields+fileHead+"sound"+formTail))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", formBoundary)
	resp, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	wantStatus(t, resp, 204)
	if took := time.Since(begun); took > 4*time.Second { // what is held back has 5 s
		t.Errorf("it took %v", took)
	}
}

// TestSlowForms: a form has to be proved soon, its file to come at a least rate, and all of it not long after the form
// has expired.
func TestSlowForms(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file     bool
		lifetime string
		size     int           // bytes that are sent each time
		every    time.Duration // 0 sends nothing
		min, max time.Duration // until it is ended
		code     string
	}{
		"held back":             {false, "60", 0, 0, 5 * time.Second, 6 * time.Second, "form_slow"},
		"unproved and trickled": {false, "60", 1, time.Second, 5 * time.Second, 7 * time.Second, "form_slow"},
		"stalled":               {true, "60", 0, 0, 29 * time.Second, 31 * time.Second, "form_slow"},
		"trickled":              {true, "3600", 1, time.Second, 29 * time.Second, 40 * time.Second, "form_slow"},
		"slow":                  {true, "3600", 6 << 10, time.Second, time.Minute, 3 * time.Minute, "form_slow"},
		"past its end":          {true, "60", 16 << 10, time.Second, 5 * time.Minute, 7 * time.Minute, "form_slow"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newFakes(t, api.Options{})
				path, fields := w.signedForm(test.lifetime)
				listener := newPipes()
				server := api.NewServer(w.handler)
				served := make(chan error, 1)
				go func() { served <- server.Serve(listener) }()
				near, far := net.Pipe()
				listener.conns <- far
				ctx, ended := context.WithCancel(t.Context())
				var sending sync.WaitGroup
				sending.Go(func() {
					fmt.Fprintf(near, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: 100000000\r\n\r\n", path, formBoundary)
					if test.file {
						io.WriteString(near, fields+fileHead)
					} else {
						io.WriteString(near, "--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n")
					}
					for ctx.Err() == nil && test.every > 0 {
						if _, err := near.Write(make([]byte, test.size)); err != nil {
							return
						}
						time.Sleep(test.every)
					}
				})
				begun := time.Now()
				resp, err := http.ReadResponse(bufio.NewReader(near), nil)
				if err != nil {
					t.Fatal(err)
				}
				wantProblem(t, resp, 408, test.code)
				if took := time.Since(begun); took < test.min || took > test.max {
					t.Errorf("it was ended after %v, want %v to %v", took, test.min, test.max)
				}
				w.wantNothingStored()
				ended()
				near.Close()
				sending.Wait()
				server.Close()
				<-served
			})
		})
	}
}
