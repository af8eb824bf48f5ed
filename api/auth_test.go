package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
)

// TestAccess holds every route against every kind of caller.
func TestAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	callers := []string{"", "wrong", homeToken, aliceToken, ownerToken}
	for _, c := range []struct {
		method, path string
		want         [5]int // for each of callers
	}{
		{"GET", "/healthz", [5]int{200, 200, 200, 200, 200}},
		{"GET", "/readyz", [5]int{200, 200, 200, 200, 200}},
		{"GET", "/api/status", [5]int{401, 401, 403, 403, 200}},
		{"GET", "/api/status/ignored", [5]int{401, 401, 403, 403, 200}},
		{"GET", "/api/tokens", [5]int{401, 401, 403, 403, 200}},
		{"POST", "/api/tokens", [5]int{401, 401, 403, 403, 415}},
		{"DELETE", "/api/tokens/nobody", [5]int{401, 401, 403, 403, 404}},
		{"GET", "/api/storage/stories", [5]int{401, 401, 200, 200, 200}},
		{"GET", storyURL(aliceStory, ""), [5]int{401, 401, 403, 200, 200}},
		{"GET", storyURL(homeStory, ""), [5]int{401, 401, 200, 403, 200}},
		{"GET", storyURL(aliceStory, "/metadata"), [5]int{401, 401, 403, 200, 200}},
		{"GET", storyURL(aliceStory, "/audio"), [5]int{401, 401, 403, 200, 200}},
		{"GET", storyURL(aliceStory, "/audio/stream"), [5]int{401, 401, 403, 302, 302}},
		{"HEAD", storyURL(aliceStory, "/audio/stream"), [5]int{401, 401, 403, 200, 200}},
		{"GET", storyURL(homeStory, "/chapters/1/audio"), [5]int{401, 401, 200, 403, 200}},
		{"GET", storyURL(homeStory, "/chapters/1/audio/stream"), [5]int{401, 401, 302, 403, 302}},
		{"HEAD", storyURL(homeStory, "/chapters/1/audio/stream"), [5]int{401, 401, 200, 403, 200}},
		{"GET", storyURL(noStory, ""), [5]int{401, 401, 404, 404, 404}},
		{"GET", storyURL(noStory, "/audio"), [5]int{401, 401, 404, 404, 404}},
		{"GET", storyURL("no-uuid", "/audio"), [5]int{401, 401, 404, 404, 404}},
		{"GET", storyURL(aliceStory+"0", ""), [5]int{401, 401, 404, 404, 404}},
		{"GET", storyURL(aliceStory, "/chapters/2/audio"), [5]int{401, 401, 403, 404, 404}},
		{"GET", storyURL(aliceStory, "/chapters/0/audio"), [5]int{401, 401, 404, 404, 404}},
		{"GET", storyURL(aliceStory, "/chapters/01/audio"), [5]int{401, 401, 403, 200, 200}},
		{"GET", storyURL(aliceStory, "/chapters/-1/audio"), [5]int{401, 401, 404, 404, 404}},
		{"GET", storyURL(aliceStory, "/chapters/+1/audio"), [5]int{401, 401, 404, 404, 404}},
		{"GET", storyURL(aliceStory, "/chapters/x/audio"), [5]int{401, 401, 404, 404, 404}},
		{"GET", storyURL(aliceStory, "/chapters/99999999999999999999/audio"), [5]int{401, 401, 404, 404, 404}},
		{"GET", "/play/" + string(aliceStory) + "/audio/story.mp3", [5]int{403, 403, 403, 403, 403}},
	} {
		for i, token := range callers {
			resp := w.request(c.method, c.path, token)
			if resp.StatusCode != c.want[i] {
				t.Errorf("%s %s as %q: got %s, want %d", c.method, c.path, token, resp.Status, c.want[i])
			}
			if challenge := resp.Header.Get("WWW-Authenticate"); (resp.StatusCode == 401) != strings.HasPrefix(challenge, "Bearer ") {
				t.Errorf("%s %s as %q: %s with the challenge %q", c.method, c.path, token, resp.Status, challenge)
			}
			wantSecure(t, resp)
		}
	}
}

func TestProblemsOfAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantProblem(t, w.request("GET", storyURL(aliceStory, ""), ""), 401, "unauthorized")
	wantProblem(t, w.request("GET", storyURL(aliceStory, ""), homeToken), 403, "forbidden")
	wantProblem(t, w.request("GET", "/api/status", homeToken), 403, "scope_insufficient")
	wantProblem(t, w.request("GET", storyURL(noStory, ""), homeToken), 404, "not_found")
}

// Nothing but one Authorization header with a token counts.
func TestBearer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		query   string
		headers []string
		want    int
	}{
		{"", []string{"Authorization", "Bearer " + ownerToken}, 200},
		{"", []string{"Authorization", "bearer  " + ownerToken}, 200},
		{"", []string{"Authorization", ownerToken}, 401},
		{"", []string{"Authorization", "Bearer"}, 401},
		{"", []string{"Authorization", "Bearer "}, 401},
		{"", []string{"Authorization", "Basic " + ownerToken}, 401},
		{"", []string{"Authorization", "Bearer " + ownerToken + " x"}, 401},
		{"", []string{"Authorization", "Bearer " + ownerToken, "Authorization", "Bearer wrong"}, 401},
		{"", []string{"Cookie", "token=" + ownerToken}, 401},
		{"", []string{"X-Api-Key", ownerToken}, 401},
		{"?token=" + ownerToken, nil, 401},
		{"?access_token=" + ownerToken, nil, 401},
		{"?k=" + w.key(aliceStory), nil, 401},
		{"", []string{"Authorization", "Bearer " + w.key(aliceStory)}, 401},
	} {
		resp := w.request(http.MethodGet, "/api/status"+c.query, "", c.headers...)
		if resp.StatusCode != c.want {
			t.Errorf("%q %q: got %s, want %d", c.query, c.headers, resp.Status, c.want)
		}
	}
}

// Wrong tokens are answered ever later, right ones at once, from the same address.
func TestManyWrongTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	limited := 0
	for range 400 {
		resp := w.request("GET", "/api/status", "wrong")
		switch resp.StatusCode {
		case 401:
		case 429:
			limited++
			if resp.Header.Get("Retry-After") != "1" || resp.Header.Get("WWW-Authenticate") == "" {
				t.Fatalf("headers: %v", resp.Header)
			}
			wantProblem(t, resp, 429, "too_many_wrong_tokens")
		default:
			t.Fatalf("got %s", resp.Status)
		}
		resp.Body.Close()
	}
	if limited == 0 {
		t.Error("400 wrong tokens at once, and none was one too many")
	}
	wantStatus(t, w.request("GET", "/api/status", ownerToken), 200)
	wantStatus(t, w.request("GET", "/api/status", ""), 401)
	wantStatus(t, w.request("GET", w.playURL(codestory.StoryAudioPath(aliceStory)), ""), 200)
	if w.log.String() != "" {
		t.Errorf("log: %q", w.log)
	}
}

// A token counts in its header alone.
func TestTokenElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"token", "access_token", "Authorization", "k", "bearer"} {
		wantProblem(t, w.request("GET", "/api/status?"+name+"="+ownerToken, ""), 401, "unauthorized")
		wantProblem(t, w.request("GET", "/play/"+string(aliceStory)+"/audio/story.mp3?"+name+"="+ownerToken, ""), 403, "link_invalid")
	}
	wantProblem(t, w.request("GET", "/api/status", "", "Cookie", "token="+ownerToken), 401, "unauthorized")
	wantProblem(t, w.request("GET", "/api/status", "", "X-Api-Key", ownerToken), 401, "unauthorized")
}
