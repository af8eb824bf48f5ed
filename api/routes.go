package api

import (
	"net/http"
	"path"
	"strings"

	"github.com/codestory/codestoryd"
)

// right is what a request needs to be served.
type right string

const (
	public      right = ""       // nothing
	byKey       right = "key"    // the KEY of the story or library in the URL, or the signature of a link
	byForm      right = "form"   // the signature of a form, in its fields
	play        right = "play"   // a token
	playStory   right = "story"  // a token whose user owns the story {id}, or one of scope manage
	manageScope right = "manage" // a token of scope manage
)

// route is one operation. What the router, the rights, the rooms and the description know of it stands here.
type route struct {
	method, path string // the path as OpenAPI spells it; GET stands for HEAD too
	right        right
	room         kind // ignored if the route is public
	handle       handler
	id, summary  string
	params       []string // of the query; see params
	body         any      // an example of the type that is sent as JSON; nil for none
	answers      []reply  // except problems
	problems     []int    // in addition to those that follow from the rest; see statuses
}

// reply is an answer that is not a problem.
type reply struct {
	status      int
	description string
	contentType string // without it, body is JSON; with neither there is no body
	body        any    // an example of the type
}

const storyPath = "/api/storage/stories/{id}"

var (
	noContent  = []reply{{status: http.StatusNoContent, description: "done"}}
	linkParams = []string{"expires_in", "download", "proxy"}
	redirected = reply{status: http.StatusFound, description: "GET only: a link that was made for this request"}
)

func ok(body any) []reply {
	return []reply{{status: http.StatusOK, description: "done", body: body}}
}

// bytesOf are the answers of content that http.ServeContent serves.
func bytesOf(contentType string, more ...reply) []reply {
	return append([]reply{
		{http.StatusOK, "the bytes", contentType, nil},
		{http.StatusPartialContent, "GET only: the requested range", contentType, nil},
		{http.StatusNotModified, "the client has this version", "", nil},
	}, more...)
}

// routes are all operations of the API. Of two that match a file below /feed/ the first counts.
var routes = []route{
	{method: "GET", path: "/healthz", handle: (*server).healthz, id: "health", summary: "Whether the process serves.",
		params: []string{"challenge"}, answers: ok(Health{})},
	{method: "GET", path: "/readyz", handle: (*server).readyz, id: "ready", summary: "Whether the daemon can do its work.",
		answers: ok(Health{}), problems: []int{http.StatusServiceUnavailable}},
	{method: "GET", path: "/metrics", right: manageScope, handle: (*server).scrape, id: "metrics", summary: "Metrics for Prometheus.",
		answers: []reply{{http.StatusOK, "metrics", "text/plain", nil}}},
	{method: "GET", path: "/api/openapi.json", right: play, handle: (*server).openapi, id: "openapi", summary: "This description.",
		answers: []reply{{http.StatusOK, "OpenAPI 3.1", "application/json", nil}}},
	{method: "GET", path: "/api/status", right: manageScope, handle: (*server).status, id: "status",
		summary: "How the daemon is.", answers: ok(codestory.Status{})},
	{method: "GET", path: "/api/status/ignored", right: manageScope, handle: (*server).ignored, id: "ignored",
		summary: "What is not uploaded, and why.", answers: ok(IgnoredList{})},
	{method: "GET", path: "/api/events", right: play, room: streams, handle: (*server).listen, id: "events",
		summary: "Server-sent events: file, upload, story, remote and queue, with data as in the other routes, and reset if some were missed. Last-Event-ID resumes.",
		answers: []reply{{http.StatusOK, "events, without end", "text/event-stream", nil}}},

	{method: "GET", path: "/api/storage/stories", right: play, handle: (*server).stories, id: "stories",
		summary: "The caller's stories, newest first, without their files.",
		params:  []string{"limit", "cursor"}, answers: ok(codestory.StoryPage{})},
	{method: "GET", path: storyPath, right: playStory, handle: (*server).story, id: "story", summary: "One story.",
		answers: ok(codestory.Story{})},
	{method: "DELETE", path: storyPath, right: manageScope, handle: (*server).deleteStory, id: "deleteStory",
		summary: "Deletes the story from the store, with local=1 also here.", params: []string{"local"}, answers: noContent,
		problems: []int{http.StatusConflict}},
	{method: "GET", path: storyPath + "/metadata", right: playStory, room: streams, handle: (*server).metadata, id: "metadata",
		summary: "metadata.json as it is.", answers: bytesOf("application/json")},
	{method: "GET", path: storyPath + "/audio", right: playStory, handle: (*server).audio, id: "storyLink",
		summary: "A link to the whole story.", params: linkParams, answers: ok(codestory.Link{})},
	{method: "GET", path: storyPath + "/audio/stream", right: playStory, room: streams, handle: (*server).stream, id: "storyStream",
		summary: "A redirect to the whole story, or with proxy=1 its bytes.", params: linkParams, answers: bytesOf("audio/mpeg", redirected)},
	{method: "GET", path: storyPath + "/chapters/{n}/audio", right: playStory, handle: (*server).audio, id: "chapterLink",
		summary: "A link to a chapter.", params: linkParams, answers: ok(codestory.Link{})},
	{method: "GET", path: storyPath + "/chapters/{n}/audio/stream", right: playStory, room: streams, handle: (*server).stream,
		id: "chapterStream", summary: "A redirect to a chapter, or with proxy=1 its bytes.", params: linkParams,
		answers: bytesOf("audio/mpeg", redirected)},
	{method: "POST", path: storyPath + "/audio/upload-url", right: manageScope, handle: (*server).uploadURL, id: "uploadForm",
		summary: "A form that posts the story's audio.", params: []string{"expires_in", "filename"}, answers: ok(codestory.UploadForm{})},
	{method: "POST", path: storyPath + "/play-key", right: manageScope, handle: (*server).rotatePlayKey, id: "rotatePlayKey",
		summary: "A new KEY for the story's player URLs and feeds.", answers: ok(codestory.KeyURLs{})},
	{method: "GET", path: "/api/storage/library", right: play, handle: (*server).library, id: "library",
		summary: "The feed of all stories of a user.", params: []string{"user"}, answers: ok(codestory.Library{})},
	{method: "POST", path: "/api/storage/library/play-key", right: manageScope, handle: (*server).rotateLibraryKey,
		id: "rotateLibraryKey", summary: "A new KEY for that feed.", params: []string{"user"}, answers: ok(codestory.Library{})},

	{method: "GET", path: "/play/{id}/{path}", right: byKey, room: streams, handle: (*server).play, id: "play",
		summary: "The bytes of a file, for a player URL (k) or a signed link (exp, sig); with at, from and bytes a segment of an HLS stream.",
		params:  []string{"k", "proxy", "at", "from", "bytes", "exp", "sig", "download"}, answers: bytesOf("*/*", redirected)},
	{method: "GET", path: "/feed/library.xml", right: byKey, room: feeds, handle: (*server).libraryFeed, id: "libraryFeed",
		summary: "All stories of one user as a podcast.", params: []string{"k", "cursor", "before"}, answers: bytesOf("application/rss+xml")},
	{method: "GET", path: "/feed/{id}.xml", right: byKey, room: feeds, handle: (*server).podcast, id: "feed",
		summary: "The story as a podcast.", params: []string{"k"}, answers: bytesOf("application/rss+xml")},
	{method: "GET", path: "/feed/{id}.m3u8", right: byKey, room: feeds, handle: (*server).playlist, id: "playlist",
		summary: "The story's chapters in order.", params: []string{"k"}, answers: bytesOf("application/vnd.apple.mpegurl")},
	{method: "GET", path: "/feed/{id}.chapters.json", right: byKey, room: feeds, handle: (*server).chapters, id: "feedChapters",
		summary: "Where the chapters begin in the whole story, in the format of Podcasting 2.0; with chapter only that one.",
		params:  []string{"k", "chapter"}, answers: bytesOf("application/json+chapters")},
	{method: "GET", path: "/feed/{id}.vtt", right: byKey, room: feeds, handle: (*server).transcript, id: "feedTranscript",
		summary: "A chapter's part of the story's transcript.", params: []string{"k", "chapter"}, answers: bytesOf("text/vtt")},
	{method: "POST", path: formRoute + "{id}/{path}", right: byForm, handle: (*server).receiveForm, id: "upload",
		summary: "Takes the file of a form that the daemon signed.", answers: noContent,
		problems: []int{http.StatusBadRequest, http.StatusRequestTimeout, http.StatusConflict, http.StatusRequestEntityTooLarge,
			http.StatusServiceUnavailable}},

	{method: "GET", path: "/api/queue", right: manageScope, handle: (*server).listQueue, id: "queue",
		summary: "What waits, and why.", params: []string{"state", "limit", "cursor"}, answers: ok(codestory.QueuePage{})},
	{method: "POST", path: "/api/queue/retry", right: manageScope, handle: (*server).retry, id: "retry",
		summary: "Tries a file at once, or all.", body: RetryRequest{}, answers: ok(RetryAnswer{}),
		problems: []int{http.StatusNotFound}},
	{method: "POST", path: "/api/queue/pause", right: manageScope, handle: (*server).pause, id: "pause",
		summary: "Starts no more uploads.", answers: ok(PauseAnswer{})},
	{method: "POST", path: "/api/queue/resume", right: manageScope, handle: (*server).resume, id: "resume",
		summary: "Starts uploads again.", answers: ok(PauseAnswer{})},
	{method: "DELETE", path: "/api/queue/{path}", right: manageScope, handle: (*server).drop, id: "drop",
		summary: "Takes a file out of the queue until it changes.", answers: noContent},

	{method: "GET", path: "/api/tokens", right: manageScope, handle: (*server).tokens, id: "tokens",
		summary: "The tokens that were added.", answers: ok(TokenList{})},
	{method: "POST", path: "/api/tokens", right: manageScope, handle: (*server).addToken, id: "addToken", summary: "Makes a token.",
		body: TokenRequest{}, problems: []int{http.StatusConflict},
		answers: []reply{{status: http.StatusCreated, description: "the token, with its secret, which is not shown again", body: NewToken{}}}},
	{method: "DELETE", path: "/api/tokens/{name}", right: manageScope, handle: (*server).removeToken, id: "removeToken",
		summary: "Ends a token. Player URLs and feeds of its user still work, unless keys=1 replaces their KEYs.",
		params:  []string{"keys"}, answers: noContent},
}

// pattern is the route as httprouter spells it. Routes below /feed/ share one: a parameter there is a whole element.
func (rt route) pattern() string {
	if strings.HasPrefix(rt.path, "/feed/") {
		return "/feed/:file"
	}
	return strings.NewReplacer("{id}/{path}", "*path", "{path}", "*path", "{", ":", "}", "").Replace(rt.path)
}

// takesFile reports whether the path names a file of a story.
func (rt route) takesFile() bool { return strings.HasSuffix(rt.path, "{id}/{path}") }

// matchFile reports whether a file below /feed/ is this route's, and returns its {id}.
func (rt route) matchFile(file string) (id string, ok bool) {
	before, ending, hasID := strings.Cut(path.Base(rt.path), "{id}")
	if !hasID {
		return "", file == before
	}
	return strings.CutSuffix(file, ending)
}
