package api_test

import (
	"errors"
	"testing"

	"github.com/codestory/codestoryd"
)

func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	oldFeed, oldPlay := w.feedURL(aliceStory, ".xml"), w.playURL(codestory.StoryAudioPath(aliceStory))
	wantProblem(t, w.request("POST", storyURL(aliceStory, "/play-key"), aliceToken), 403, "scope_insufficient")
	wantProblem(t, w.request("POST", storyURL(noStory, "/play-key"), ownerToken), 404, "not_found")
	wantStatus(t, w.request("GET", oldPlay, ""), 200)
	resp := w.request("POST", storyURL(aliceStory, "/play-key"), ownerToken)
	wantStatus(t, resp, 200)
	urls := decode[codestory.KeyURLs](t, resp)
	for _, url := range []string{oldFeed, oldPlay} {
		wantProblem(t, w.request("GET", url, ""), 403, "link_invalid")
	}
	for _, url := range []string{urls.FeedURL, urls.PlayURL, urls.PlaylistURL, w.feedURL(farStory, ".xml")} {
		wantStatus(t, w.request("GET", url, ""), 200)
	}
	w.access.diskErr = errors.New("disk full")
	wantProblem(t, w.request("POST", storyURL(aliceStory, "/play-key"), ownerToken), 500, "internal")
	wantStatus(t, w.request("GET", urls.PlayURL, ""), 200)
}

func TestLibrary(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const route = "/api/storage/library"
	of := func(target, token string) codestory.Library {
		resp := w.request("GET", target, token)
		wantStatus(t, resp, 200)
		return decode[codestory.Library](t, resp)
	}
	alice := of(route, aliceToken)
	if alice.UserID != "alice" || alice != of(route+"?user=alice", ownerToken) || of(route, ownerToken).UserID != "" {
		t.Errorf("alice's library is %+v", alice)
	}
	wantProblem(t, w.request("GET", route+"?user=bob", aliceToken), 403, "scope_insufficient")
	wantProblem(t, w.request("POST", route+"/play-key", aliceToken), 403, "scope_insufficient")
	wantProblem(t, w.request("POST", route+"/play-key?user=%ff", ownerToken), 400, "invalid_parameter")
	resp := w.request("POST", route+"/play-key?user=alice", ownerToken)
	wantStatus(t, resp, 200)
	if next := decode[codestory.Library](t, resp); next == alice {
		t.Error("the KEY was not replaced")
	} else {
		wantStatus(t, w.request("GET", next.FeedURL, ""), 200)
	}
	wantProblem(t, w.request("GET", alice.FeedURL, ""), 403, "link_invalid")
}
