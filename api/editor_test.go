package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

// editor is an Editor of the library in memory.
type editor struct {
	lib     *library
	forms   map[string]string // of the store; nil for none
	theirs  codestory.StoryID // is another program's
	deleted []string
}

func (e *editor) Delete(_ context.Context, id codestory.StoryID, local bool) error {
	defer e.lib.enter("delete %s", id)()
	if _, ok := e.lib.stories[id]; !ok {
		return fmt.Errorf("story %s: %w", id, codestory.ErrNotFound)
	}
	if id == e.theirs {
		return fmt.Errorf("story %s: %w", id, codestory.ErrNotOurs)
	}
	e.deleted = append(e.deleted, fmt.Sprintf("%s %t", id, local))
	return nil
}

func (e *editor) SignForm(_ context.Context, path codestory.Path, lifetime time.Duration) (string, map[string]string, time.Time, error) {
	defer e.lib.enter("form %s", path)()
	if e.forms == nil {
		return "", nil, time.Time{}, codestory.ErrNoForms
	}
	return "http://store/bucket", e.forms, time.Now().Add(lifetime / 2), nil
}

func (e *editor) Receive(_ context.Context, path codestory.Path, _ time.Time, r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, 1<<20)) // of a large one the rest is only counted
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	defer e.lib.enter("receive %s", path)()
	e.lib.files[path] = file{data: data, stored: true}
	return nil
}

// TestDeleteStory: only the owner deletes, and local files only where that is asked for.
func TestDeleteStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.editor.theirs = farStory
	wantProblem(t, w.request("DELETE", storyURL(aliceStory, ""), ""), 401, "unauthorized")
	wantProblem(t, w.request("DELETE", storyURL(aliceStory, ""), aliceToken), 403, "scope_insufficient")
	wantProblem(t, w.request("DELETE", storyURL(noStory, ""), ownerToken), 404, "not_found")
	wantProblem(t, w.request("DELETE", storyURL("no-uuid", ""), ownerToken), 404, "not_found")
	wantProblem(t, w.request("DELETE", storyURL(farStory, ""), ownerToken), 409, "not_ours")
	wantProblem(t, w.request("DELETE", storyURL(aliceStory, "?local=yes"), ownerToken), 400, "invalid_parameter")
	for _, target := range []string{storyURL(aliceStory, ""), storyURL(aliceStory, "?local=1")} {
		resp := w.request("DELETE", target, ownerToken)
		wantStatus(t, resp, 204)
		wantSecure(t, resp)
	}
	want := []string{string(aliceStory) + " false", string(aliceStory) + " true"}
	if got := fmt.Sprint(w.editor.deleted); got != fmt.Sprint(want) {
		t.Errorf("deleted %s, want %s", got, want)
	}
}

func wantForm(t *testing.T, resp *http.Response) codestory.UploadForm {
	t.Helper()
	wantStatus(t, resp, 200)
	form := decode[codestory.UploadForm](t, resp)
	if form.MaxBytes != 524288000 || form.URL == "" || form.Fields["key"] == "" {
		t.Errorf("form: %+v", form)
	}
	return form
}

// TestUploadURL: the store's form is passed on, for the path that is asked for and with its true end.
func TestUploadURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.editor.forms = map[string]string{"key": "k", "policy": "p"}
	wantProblem(t, w.request("POST", storyURL(aliceStory, "/audio/upload-url"), ""), 401, "unauthorized")
	wantProblem(t, w.request("POST", storyURL(aliceStory, "/audio/upload-url"), aliceToken), 403, "scope_insufficient")
	wantProblem(t, w.request("POST", storyURL("no-uuid", "/audio/upload-url"), ownerToken), 404, "not_found")
	w.lib.takeAsked()
	for query, path := range map[string]codestory.Path{
		"":                                   codestory.StoryAudioPath(noStory),
		"?filename=teaser%20%26%20more.mp3":  codestory.Path(noStory) + "/audio/teaser & more.mp3",
		"?expires_in=604800&filename=a+.mp3": codestory.Path(noStory) + "/audio/a .mp3",
	} {
		form := wantForm(t, w.request("POST", storyURL(noStory, "/audio/upload-url"+query), ownerToken))
		if asked := w.lib.takeAsked(); fmt.Sprint(asked) != fmt.Sprintf("[form %s]", path) {
			t.Errorf("%q asked for %q", query, asked)
		}
		if form.URL != "http://store/bucket" || !maps.Equal(form.Fields, w.editor.forms) {
			t.Errorf("form: %+v", form)
		}
		if want := int64(1800); query == "" && form.ExpiresIn > want {
			t.Errorf("expires in %d s, want %d at most", form.ExpiresIn, want)
		}
	}
	for _, query := range []string{
		"?filename=", "?filename=a.wav", "?filename=..%2fx.mp3", "?filename=x%2fy.mp3", "?filename=a.mp3.tmp", "?filename=.a.mp3",
		"?filename=a%00.mp3", "?filename=a%5cb.mp3", "?expires_in=0", "?expires_in=604801", "?filename=a.mp3&filename=b.mp3",
		"?filename=" + strings.Repeat("a", 1100) + ".mp3",
	} {
		wantProblem(t, w.request("POST", storyURL(aliceStory, "/audio/upload-url"+query), ownerToken), 400, "invalid_parameter")
	}
}

// post posts the fields and, unless it is nil, the file.
func post(t *testing.T, w *world, action string, fields map[string]string, file []byte) *http.Response {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range fields {
		if err := form.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if file != nil {
		part, err := form.CreateFormFile("file", "any name.mp3")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", action, &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// TestLocalForm: a store without forms has the daemon enforce them.
func TestLocalForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := codestory.Path(noStory) + "/audio/ü #1.mp3"
	form := wantForm(t, w.request("POST", storyURL(noStory, "/audio/upload-url?filename="+url.QueryEscape("ü #1.mp3")), ownerToken))
	if form.ExpiresIn != 3600 {
		t.Errorf("expires in %d s", form.ExpiresIn)
	}
	data := bytes.Repeat([]byte("sound"), 100_000)
	wantStatus(t, post(t, w, form.URL, form.Fields, data), 204)
	if got := w.lib.files[path]; !bytes.Equal(got.data, data) {
		t.Errorf("%d bytes were stored, want %d", len(got.data), len(data))
	}

	other := wantForm(t, w.request("POST", storyURL(aliceStory, "/audio/upload-url"), ownerToken))
	changed := func(name, value string) map[string]string {
		fields := maps.Clone(form.Fields)
		fields[name] = value
		return fields
	}
	before := w.lib.takeAsked()
	for name, fields := range map[string]map[string]string{
		"another key":       changed("key", other.Fields["key"]),
		"another type":      changed("Content-Type", "text/html"),
		"a later end":       changed("exp", "9999999999"),
		"another signature": changed("sig", other.Fields["sig"]),
		"another form":      other.Fields,
		"no fields":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, post(t, w, form.URL, fields, data), 403, "form_invalid")
		})
	}
	wantProblem(t, post(t, w, form.URL, form.Fields, []byte{}), 400, "file_empty")
	wantProblem(t, post(t, w, form.URL, form.Fields, nil), 400, "invalid_body")
	wantProblem(t, post(t, w, w.public+"/upload/no-uuid/audio/story.mp3", form.Fields, data), 404, "not_found")
	wantProblem(t, w.request("POST", form.URL, "", "Content-Type", "text/plain"), 400, "invalid_body")
	if asked := w.lib.takeAsked(); len(asked) > 0 {
		t.Errorf("looked up for bad forms: %q, before %q", asked, before)
	}
}

// TestLocalFormLimits: a file that is too large and a form that is too old are refused, and a request that is cut off
// stores nothing.
func TestLocalFormLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it takes seconds")
	}
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFakes(t, api.Options{})
		form := wantForm(t, w.record("POST", storyURL(noStory, "/audio/upload-url?expires_in=1"), ownerToken).Result())
		head := func() io.Reader {
			var b strings.Builder
			for name, value := range form.Fields {
				fmt.Fprintf(&b, "--x\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", name, value)
			}
			b.WriteString("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n")
			return strings.NewReader(b.String())
		}
		send := func(body io.Reader) *http.Response {
			return w.recordBody("POST", form.URL, body, "multipart/form-data; boundary=x").Result()
		}
		large := io.LimitReader(zeros{}, codestory.MaxFormBytes+1)
		wantProblem(t, send(io.MultiReader(head(), large, strings.NewReader("\r\n--x--\r\n"))), 413, "file_too_large")
		wantProblem(t, send(io.MultiReader(head(), strings.NewReader("half of it"))), 400, "invalid_body")
		wantProblem(t, send(io.MultiReader(head(), failing{})), 400, "invalid_body")
		time.Sleep(3 * time.Second)
		wantProblem(t, send(io.MultiReader(head(), strings.NewReader("late\r\n--x--\r\n"))), 403, "form_expired")
		if _, stored := w.lib.files[codestory.StoryAudioPath(noStory)]; stored {
			t.Error("something was stored")
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("connection reset") }
