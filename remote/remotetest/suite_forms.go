package remotetest

import (
	"bytes"
	"context"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd/remote"
)

func (s suite) forms(t *testing.T, store remote.Store) {
	signer, ok := store.(remote.FormSigner)
	if !ok {
		t.Skip("the store makes no forms")
	}
	f := formTest{suite: s, store: store, signer: signer}
	t.Run("a good form is taken", f.taken)
	t.Run("a broken condition is refused", f.refused)
	t.Run("an expired form is refused", f.expired)
	t.Run("what cannot be a form is an error", f.invalid)
}

type formTest struct {
	suite
	store  remote.Store
	signer remote.FormSigner
}

func (f formTest) form(t *testing.T, req remote.FormRequest) remote.Form {
	t.Helper()
	before := time.Now()
	form, err := f.signer.Form(t.Context(), req)
	if err != nil {
		t.Fatalf("form: %v", err)
	}
	lasts := req.Expires
	if lasts == 0 {
		lasts = remote.DefaultExpires
	}
	if form.Expires.Before(before.Add(lasts-time.Second)) || form.Expires.After(time.Now().Add(lasts)) {
		t.Errorf("expires %v, want %v from now", form.Expires, lasts)
	}
	return form
}

// post sends the form as a browser does, with the fields in an order of its own and the file last.
func post(t *testing.T, form remote.Form, fileType string, content []byte) (status int, answer string) {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range form.Fields {
		_ = w.WriteField(name, value) // a buffer takes anything
	}
	file, _ := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="a file.mp3"`}, "Content-Type": {fileType},
	})
	_, _ = file.Write(content)
	_ = w.Close()
	return send(t, http.MethodPost, form.URL, w.FormDataContentType(), body.Bytes())
}

func send(t *testing.T, method, url, contentType string, body []byte) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (f formTest) taken(t *testing.T) {
	for _, key := range []string{
		story + "audio/story.mp3", story + `audio/a "quoted" b\s & <ü> ${x} $y 100% + '日本'.mp3`,
	} {
		data := Bytes(2000)
		form := f.form(t, remote.FormRequest{
			Key: key, ContentType: mp3, MinBytes: 1, MaxBytes: 2000, Expires: time.Minute,
			Metadata: map[string]string{"Uploaded-By": `a "person"`},
		})
		// The type of the file's own part is the browser's guess, and does not count.
		if status, answer := post(t, form, "application/octet-stream", data); status/100 != 2 {
			t.Errorf("post for %s: %d %s, want it taken", key, status, answer)
			continue
		}
		holds(t, f.store, key, data)
		object, err := f.store.Stat(t.Context(), key)
		if err != nil || object.ContentType != mp3 {
			t.Errorf("%s has the type %q, %v, want %s", key, object.ContentType, err, mp3)
		}
		if got := f.opts.Metadata(t, f.store, key)["uploaded-by"]; got != `a "person"` {
			t.Errorf("%s has the metadata %q", key, got)
		}
	}
}

func (f formTest) refused(t *testing.T) {
	key := story + "audio/form.mp3"
	form := f.form(t, remote.FormRequest{Key: key, ContentType: mp3, MinBytes: 1, MaxBytes: 1000})
	with := func(name, value string) remote.Form {
		changed := form
		changed.Fields = maps.Clone(form.Fields)
		changed.Fields[name] = value
		if value == "" {
			delete(changed.Fields, name)
		}
		return changed
	}
	policy := form.Fields["policy"]
	for name, attempt := range map[string]struct {
		form remote.Form
		size int
	}{
		"empty":             {form, 0},
		"too large by 1 B":  {form, 1001},
		"far too large":     {form, 3 << 20},
		"another type":      {with("Content-Type", "text/html"), 10},
		"no type":           {with("Content-Type", ""), 10},
		"another key":       {with("key", story+"audio/other.mp3"), 10},
		"a longer key":      {with("key", key+"x"), 10},
		"another policy":    {with("policy", policy[:len(policy)-8]+"AAAA"+policy[len(policy)-4:]), 10},
		"no policy":         {with("policy", ""), 10},
		"another signature": {with("x-amz-signature", strings.Repeat("0", 64)), 10},
		"no signature":      {with("x-amz-signature", ""), 10},
		"another date":      {with("x-amz-date", "20200101T000000Z"), 10},
	} {
		status, answer := post(t, attempt.form, mp3, Bytes(attempt.size))
		if status/100 != 4 {
			t.Errorf("%s: %d %s, want it refused", name, status, answer)
		}
	}
	for _, key := range []string{key, key + "x", story + "audio/other.mp3"} {
		lacks(t, f.store, key)
	}
	if status, answer := post(t, form, mp3, Bytes(1000)); status/100 != 2 {
		t.Errorf("the form itself: %d %s", status, answer)
	}
}

func (f formTest) expired(t *testing.T) {
	form := f.form(t, remote.FormRequest{
		Key: story + "audio/late.mp3", ContentType: mp3, MinBytes: 1, MaxBytes: 10, Expires: time.Second,
	})
	refusedInTime(t, func() int { status, _ := post(t, form, mp3, []byte("x")); return status })
}

// refusedInTime tries until what is good for a second is refused.
func refusedInTime(t *testing.T, try func() int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if status := try(); status/100 == 4 {
			return
		} else if status/100 != 2 {
			t.Fatalf("%d, want it taken and then refused", status)
		}
		select {
		case <-ctx.Done():
			t.Fatal("what is good for 1 s is still taken after 15")
		case <-tick.C:
		}
	}
}

func (f formTest) invalid(t *testing.T) {
	good := remote.FormRequest{Key: story + "audio/story.mp3", ContentType: mp3, MinBytes: 1, MaxBytes: 10}
	for name, change := range map[string]func(*remote.FormRequest){
		"no key":          func(r *remote.FormRequest) { r.Key = "" },
		"a key to choose": func(r *remote.FormRequest) { r.Key = story + "${filename}" },
		"no type":         func(r *remote.FormRequest) { r.ContentType = "" },
		"more than most":  func(r *remote.FormRequest) { r.MinBytes = 11 },
		"negative":        func(r *remote.FormRequest) { r.MinBytes = -1 },
		"too large":       func(r *remote.FormRequest) { r.MaxBytes = 6 << 30 },
		"too long":        func(r *remote.FormRequest) { r.Expires = remote.MaxExpires + time.Second },
		"too short":       func(r *remote.FormRequest) { r.Expires = time.Millisecond },
	} {
		req := good
		change(&req)
		if form, err := f.signer.Form(t.Context(), req); err == nil {
			t.Errorf("%s: got %+v, want an error", name, form)
		}
	}
}
