package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/codestory/codestoryd"
)

// right is what a request needs.
type right string

const (
	rightNone   right = ""       // nothing, or what is in the URL
	rightPlay   right = "play"   // a token
	rightManage right = "manage" // a token of that scope
)

// operation describes what a method does at a path. operations is held against the router by a test.
type operation struct {
	method, path string // GET stands for HEAD too
	route        string // the router's pattern, where it is not path with its parameters spelled otherwise
	right        right
	id, summary  string
	params       []string // of the query; see params
	body         any      // an example of the type that is sent as JSON; nil for none
	answers      []reply  // that are no problem
	problems     []int
}

// reply is an answer that is no problem.
type reply struct {
	status      int
	description string
	contentType string // "" with body is JSON; without it there is no body
	body        any    // an example of the type
}

func ok(body any) []reply { return []reply{{status: http.StatusOK, description: "done", body: body}} }

var (
	noContent  = []reply{{status: http.StatusNoContent, description: "done"}}
	fileAnswer = []reply{
		{http.StatusOK, "the bytes", "application/octet-stream", nil},
		{http.StatusPartialContent, "the ranges that were asked for", "application/octet-stream", nil},
		{http.StatusFound, "a link made this moment, good for the same method", "", nil},
		{http.StatusNotModified, "the version that the client has", "", nil},
	}
	storyProblems = []int{401, 403, 404, 503}
	fileProblems  = []int{400, 401, 403, 404, 412, 416, 503}
)

const (
	storyRoute = "/api/storage/stories/{id}"
	queueRoute = "/api/queue/:action"
	feedRoute  = "/feed/:file"
)

// operations are all that the API does.
var operations = []operation{
	{method: "GET", path: "/healthz", id: "health", summary: "Whether the process serves.", params: []string{"challenge"}, answers: ok(Health{}), problems: []int{403}},
	{method: "GET", path: "/readyz", id: "ready", summary: "Whether the daemon can do its work.", answers: ok(Health{}), problems: []int{403, 503}},
	{method: "GET", path: "/metrics", right: rightManage, id: "metrics", summary: "Metrics for Prometheus.",
		answers: []reply{{http.StatusOK, "metrics", "text/plain", nil}}, problems: []int{401, 403}},
	{method: "GET", path: "/api/openapi.json", right: rightPlay, id: "openapi", summary: "This description.",
		answers: []reply{{http.StatusOK, "OpenAPI 3.1", "application/json", nil}}, problems: []int{401}},
	{method: "GET", path: "/api/status", right: rightManage, id: "status", summary: "How the daemon is; with ignored=1 what is not uploaded, and why.",
		params: []string{"ignored"}, answers: ok(oneOf{codestory.Status{}, IgnoredList{}}), problems: []int{400, 401, 403}},
	{method: "GET", path: "/api/events", right: rightPlay, id: "events",
		summary: "Server-sent events: file, upload, story, remote, queue, with data as the other routes have it, and reset where some were missed. Last-Event-ID goes on where a listener was.",
		answers: []reply{{http.StatusOK, "events, without end", "text/event-stream", nil}}, problems: []int{401}},

	{method: "GET", path: "/api/storage/stories", right: rightPlay, id: "stories", summary: "The caller's stories, newest first, without their files.",
		params: []string{"limit", "cursor"}, answers: ok(codestory.StoryPage{}), problems: []int{400, 401}},
	{method: "GET", path: storyRoute, right: rightPlay, id: "story", summary: "One story.", answers: ok(codestory.Story{}), problems: storyProblems},
	{method: "DELETE", path: storyRoute, right: rightManage, id: "deleteStory", summary: "Delete the story from the store, with local=1 here too.",
		params: []string{"local"}, answers: noContent, problems: []int{400, 401, 403, 404, 503}},
	{method: "GET", path: storyRoute + "/metadata", right: rightPlay, id: "metadata", summary: "metadata.json as it is.",
		answers:  []reply{{http.StatusOK, "metadata.json", "application/json", nil}, {http.StatusNotModified, "the version that the client has", "", nil}},
		problems: fileProblems},
	{method: "GET", path: storyRoute + "/audio", right: rightPlay, id: "storyLink", summary: "A link to the whole story.",
		params: []string{"expires_in", "download", "proxy"}, answers: ok(codestory.Link{}), problems: fileProblems},
	{method: "GET", path: storyRoute + "/audio/stream", right: rightPlay, id: "storyStream", summary: "A redirect to the whole story, or with proxy=1 its bytes.",
		params: []string{"expires_in", "download", "proxy"}, answers: fileAnswer, problems: fileProblems},
	{method: "GET", path: storyRoute + "/chapters/{n}/audio", right: rightPlay, id: "chapterLink", summary: "A link to a chapter.",
		params: []string{"expires_in", "download", "proxy"}, answers: ok(codestory.Link{}), problems: fileProblems},
	{method: "GET", path: storyRoute + "/chapters/{n}/audio/stream", right: rightPlay, id: "chapterStream", summary: "A redirect to a chapter, or with proxy=1 its bytes.",
		params: []string{"expires_in", "download", "proxy"}, answers: fileAnswer, problems: fileProblems},
	{method: "POST", path: storyRoute + "/audio/upload-url", right: rightManage, id: "uploadForm", summary: "A form that posts the story's audio.",
		params: []string{"expires_in", "filename"}, answers: ok(codestory.UploadForm{}), problems: []int{400, 401, 403, 404, 503}},
	{method: "POST", path: storyRoute + "/play-key", right: rightManage, id: "rotatePlayKey", summary: "A new KEY for the story's player URLs and feeds.",
		answers: ok(codestory.KeyURLs{}), problems: storyProblems},
	{method: "GET", path: "/api/storage/library", right: rightPlay, id: "library", summary: "The feed of all of a user's stories.",
		params: []string{"user"}, answers: ok(codestory.Library{}), problems: []int{400, 401, 403}},
	{method: "POST", path: "/api/storage/library/play-key", right: rightManage, id: "rotateLibraryKey", summary: "A new KEY for that feed.",
		params: []string{"user"}, answers: ok(codestory.Library{}), problems: []int{400, 401, 403}},

	{method: "GET", path: "/play/{id}/{path}", route: "/play/*path", id: "play", summary: "The bytes of a file, for a player URL (k) or a signed link (exp, sig); with at, from and bytes a piece of an HLS stream.",
		params: []string{"k", "proxy", "at", "from", "bytes", "exp", "sig", "download"}, answers: fileAnswer, problems: []int{400, 403, 404, 412, 416, 503}},
	{method: "GET", path: "/feed/{id}.xml", route: feedRoute, id: "feed", summary: "The story as a podcast.",
		params: []string{"k"}, answers: []reply{{http.StatusOK, "RSS 2.0", "application/rss+xml", nil}}, problems: []int{403, 404, 503}},
	{method: "GET", path: "/feed/{id}.m3u8", route: feedRoute, id: "playlist", summary: "The story's chapters in order.",
		params: []string{"k"}, answers: []reply{{http.StatusOK, "M3U", "application/vnd.apple.mpegurl", nil}}, problems: []int{403, 404, 503}},
	{method: "GET", path: "/feed/{id}.chapters.json", route: feedRoute, id: "feedChapters", summary: "Where the chapters begin in the whole story, as Podcasting 2.0 has it; with chapter of that one.",
		params: []string{"k", "chapter"}, answers: []reply{{http.StatusOK, "chapters", "application/json+chapters", nil}}, problems: []int{400, 403, 404, 503}},
	{method: "GET", path: "/feed/{id}.vtt", route: feedRoute, id: "feedTranscript", summary: "A chapter's part of the story's transcript.",
		params: []string{"k", "chapter"}, answers: []reply{{http.StatusOK, "WebVTT", "text/vtt", nil}}, problems: []int{400, 403, 404, 503}},
	{method: "GET", path: "/feed/library.xml", route: feedRoute, id: "libraryFeed", summary: "All the stories of one user as a podcast.",
		params: []string{"k", "cursor", "before"}, answers: []reply{{http.StatusOK, "RSS 2.0", "application/rss+xml", nil}}, problems: []int{400, 403, 503}},
	{method: "POST", path: formRoute + "{id}/{path}", route: formRoute + "*path", id: "upload", summary: "Take the file of a form that the daemon signed.",
		answers: noContent, problems: []int{400, 403, 408, 409, 413, 503, 507}},

	{method: "GET", path: "/api/queue", right: rightManage, id: "queue", summary: "What waits, and why.",
		params: []string{"state", "limit", "cursor"}, answers: ok(codestory.QueuePage{}), problems: []int{400, 401, 403}},
	{method: "POST", path: "/api/queue/retry", route: queueRoute, right: rightManage, id: "retry", summary: "Try a file at once, or all.",
		body: RetryRequest{}, answers: ok(RetryAnswer{}), problems: []int{400, 401, 403, 404, 415}},
	{method: "POST", path: "/api/queue/pause", route: queueRoute, right: rightManage, id: "pause", summary: "Begin no uploads.",
		answers: ok(PauseAnswer{}), problems: []int{401, 403}},
	{method: "POST", path: "/api/queue/resume", route: queueRoute, right: rightManage, id: "resume", summary: "Go on.",
		answers: ok(PauseAnswer{}), problems: []int{401, 403}},
	{method: "DELETE", path: "/api/queue/{path}", route: "/api/queue/*path", right: rightManage, id: "drop", summary: "Take a file out of the queue until it changes.",
		answers: noContent, problems: []int{401, 403, 404}},

	{method: "GET", path: "/api/tokens", right: rightManage, id: "tokens", summary: "The tokens that were added.", answers: ok(TokenList{}), problems: []int{401, 403}},
	{method: "POST", path: "/api/tokens", right: rightManage, id: "addToken", summary: "Make a token.", body: TokenRequest{},
		answers: []reply{{status: http.StatusCreated, description: "the token, with its secret, told this once", body: NewToken{}}}, problems: []int{400, 401, 403, 409, 413, 415}},
	{method: "DELETE", path: "/api/tokens/{name}", right: rightManage, id: "removeToken", summary: "End a token. Player URLs and feeds with a KEY of its user go on working, unless keys=1 replaces those KEYs.", params: []string{"keys"},
		answers: noContent, problems: []int{400, 401, 403, 404, 503}},
}

// pattern is the router's.
func (o operation) pattern() string {
	if o.route != "" {
		return o.route
	}
	return strings.NewReplacer("{", ":", "}", "").Replace(o.path)
}

// openapi answers GET /api/openapi.json.
func (s *server) openapi(w http.ResponseWriter, _ *http.Request, _ codestory.Token) error {
	return writeJSON(w, http.StatusOK, s.description())
}

// newDescription makes the description once, where it is asked for. base is the path that all others are below.
func newDescription(version, base string) func() json.RawMessage {
	return sync.OnceValue(func() json.RawMessage {
		b, err := json.Marshal(describeAPI(operations, version, base))
		if err != nil {
			panic(err) // our own shapes always encode
		}
		return b
	})
}

// object is a JSON object of the description.
type object map[string]any

// describeAPI is the description in OpenAPI 3.1.
func describeAPI(operations []operation, version, base string) object {
	schemas := schemas{}
	paths := object{}
	for _, o := range operations {
		item, ok := paths[o.path].(object)
		if !ok {
			item = object{}
			if in := pathParams(o.path); len(in) > 0 {
				item["parameters"] = in
			}
			paths[o.path] = item
		}
		item[strings.ToLower(o.method)] = o.describe(o.id, schemas)
		if o.method == http.MethodGet {
			item["head"] = o.describe(o.id+"Head", schemas)
		}
	}
	if version == "" {
		version = "0"
	}
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "codestoryd", "version": version, "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"servers": []object{{"url": "/" + strings.Trim(base, "/")}}, // at the host that the description came from
		"paths":   paths,
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
	}
}

func (o operation) describe(id string, schemas schemas) object {
	d := object{"operationId": id, "summary": o.summary}
	responses := object{}
	for _, a := range o.answers {
		response := object{"description": a.description}
		contentType := a.contentType
		if contentType == "" && a.body != nil {
			contentType = "application/json"
		}
		if contentType != "" {
			content := object{}
			if a.body != nil {
				content["schema"] = schemas.of(a.body)
			}
			response["content"] = object{contentType: content}
		}
		responses[strconv.Itoa(a.status)] = response
	}
	problems := o.problems
	if o.right != rightNone || slices.Contains(o.params, "k") { // wrong tokens, or a share that is taken
		problems = append(slices.Clone(problems), http.StatusTooManyRequests, http.StatusServiceUnavailable)
	}
	for _, status := range problems {
		responses[strconv.Itoa(status)] = object{
			"description": http.StatusText(status),
			"content":     object{"application/problem+json": object{"schema": schemas.of(Problem{})}},
		}
	}
	d["responses"] = responses
	if o.body != nil {
		d["requestBody"] = object{"content": object{"application/json": object{"schema": schemas.of(o.body)}}}
	}
	d["security"] = []object{}
	if o.right != rightNone {
		d["security"] = []object{{"token": []string{string(o.right)}}}
	}
	var in []object
	for _, name := range o.params {
		in = append(in, object{"name": name, "in": "query", "schema": params[name]})
	}
	if in != nil {
		d["parameters"] = in
	}
	return d
}
