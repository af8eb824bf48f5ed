package api_test

import (
	"errors"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
	"github.com/codestory/codestoryd/api/client"
)

// The client and the API understand each other.
func TestClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.monitor.ignored = []codestory.Ignored{{Path: "notes.txt", Reason: "outside"}}
	ctx := t.Context()
	c := client.New(w.public+"/", ownerToken, client.Options{})
	t.Cleanup(c.Close)

	if proof, err := c.Health(ctx, "who"); err != nil || proof != "proof of who" {
		t.Error(err)
	}
	if status, err := c.Status(ctx); err != nil || status.Version != "1.2.3" ||
		status.Remote.State != codestory.RemoteOK {
		t.Errorf("status: %+v, %v", status, err)
	}
	if list, err := c.Ignored(ctx); err != nil || len(list.Ignored) != 1 || list.Ignored[0] != w.monitor.ignored[0] {
		t.Errorf("ignored: %+v, %v", list, err)
	}

	page, err := c.Stories(ctx, 2, "")
	if err != nil || len(page.Stories) != 2 || page.NextCursor == nil {
		t.Fatalf("stories: %+v, %v", page, err)
	}
	if rest, err := c.Stories(ctx, 0, *page.NextCursor); err != nil || len(rest.Stories) != 1 || rest.NextCursor != nil {
		t.Errorf("more stories: %+v, %v", rest, err)
	}
	if story, err := c.Story(ctx, homeStory); err != nil || story.Title != w.lib.stories[homeStory].Title ||
		len(story.Files) != 3 {
		t.Errorf("story: %+v, %v", story, err)
	}

	if link, err := c.Audio(ctx, homeStory, 0, 0); err != nil || link.ExpiresIn != 3600 || link.ChapterNumber != nil {
		t.Errorf("link: %+v, %v", link, err)
	}
	link, err := c.Audio(ctx, homeStory, 1, 90*time.Second)
	if err != nil || link.ExpiresIn != 90 || link.ChapterNumber == nil {
		t.Fatalf("link: %+v, %v", link, err)
	}
	wantStatus(t, w.request("GET", link.URL, ""), 200)

	secret, err := c.AddToken(ctx, api.TokenRequest{Name: "tv & radio", User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := c.Tokens(ctx)
	if err != nil || len(tokens) != 3 || tokens[2].Scope != codestory.ScopePlay {
		t.Errorf("tokens: %+v, %v", tokens, err)
	}
	tv := client.New(w.public, secret, client.Options{})
	t.Cleanup(tv.Close)
	wantClientProblem(t, func() error { _, err := tv.Status(ctx); return err }(), 403, "scope_insufficient")
	wantClientProblem(t, func() error { _, err := tv.Story(ctx, homeStory); return err }(), 403, "forbidden")
	if err := c.RemoveToken(ctx, "tv & radio", true); err != nil {
		t.Error(err)
	}
	wantClientProblem(t, c.RemoveToken(ctx, "tv & radio", true), 404, "not_found")
	wantClientProblem(t, c.RemoveToken(ctx, "../status", false), 404, "not_found")
	wantClientProblem(t, func() error { _, err := tv.Stories(ctx, 0, ""); return err }(), 401, "unauthorized")

	w.lib.change(func() { w.lib.down = true })
	_, err = c.Audio(ctx, farStory, 0, 0)
	wantClientProblem(t, err, 503, "storage_unavailable")
	if got, want := err.Error(), "storage temporarily unavailable (503 storage_unavailable)"; got != want {
		t.Errorf("error: got %q, want %q", got, want)
	}
}

func wantClientProblem(t *testing.T, err error, status int, code string) {
	t.Helper()
	p, ok := errors.AsType[*client.Problem](err)
	if !ok || p.Status != status || p.Code != code || p.Detail == "" {
		t.Errorf("got %v, want the problem %d %s", err, status, code)
	}
	if errors.Is(err, client.ErrNotRunning) {
		t.Errorf("%v counts as not running", err)
	}
}
