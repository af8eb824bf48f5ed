package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
)

// openapi answers GET /api/openapi.json.
func (s *server) openapi(w http.ResponseWriter, _ *request) error {
	return writeJSON(w, http.StatusOK, s.description())
}

// newDescription makes the description once, when it is first requested. base is the path that all others are below.
func newDescription(version, base string) func() json.RawMessage {
	return sync.OnceValue(func() json.RawMessage { return encode(describeAPI(routes, version, base)) })
}

// object is a JSON object of the description.
type object map[string]any

// describeAPI is the description in OpenAPI 3.1.
func describeAPI(routes []route, version, base string) object {
	schemas := schemas{}
	paths := object{}
	for _, rt := range routes {
		item, ok := paths[rt.path].(object)
		if !ok {
			item = object{}
			if in := pathParams(rt.path); len(in) > 0 {
				item["parameters"] = in
			}
			paths[rt.path] = item
		}
		item[strings.ToLower(rt.method)] = rt.describe(rt.id, schemas)
		if rt.method == http.MethodGet {
			item["head"] = rt.describe(rt.id+"Head", schemas)
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

func (rt route) describe(id string, schemas schemas) object {
	responses := object{}
	for _, a := range rt.answers {
		response := object{"description": a.description}
		content := object{}
		for contentType := range strings.SplitSeq(a.contentType, ",") {
			switch {
			case a.body != nil:
				content["application/json"] = object{"schema": schemas.of(reflect.TypeOf(a.body))}
			case contentType != "":
				content[contentType] = object{}
			}
			if a.status == http.StatusPartialContent {
				content["multipart/byteranges"] = object{}
			}
		}
		if len(content) > 0 {
			response["content"] = content
		}
		responses[strconv.Itoa(a.status)] = response
	}
	for _, status := range rt.statuses() {
		responses[strconv.Itoa(status)] = object{
			"description": http.StatusText(status),
			"content":     object{"application/problem+json": object{"schema": schemas.of(reflect.TypeFor[Problem]())}},
		}
	}
	d := object{"operationId": id, "summary": rt.summary, "responses": responses, "security": []object{}}
	if rt.needsToken() {
		d["security"] = []object{{"token": []string{}}}
		if rt.right == manageScope {
			d["description"] = "Needs a token of scope manage."
		}
	}
	if rt.body != nil {
		d["requestBody"] = object{"content": object{"application/json": object{"schema": schemas.of(reflect.TypeOf(rt.body))}}}
	}
	if rt.right == byForm {
		d["requestBody"] = object{"required": true, "content": object{"multipart/form-data": object{}}}
	}
	var in []object
	for _, name := range rt.params {
		in = append(in, object{"name": name, "in": "query", "description": params[name].description, "schema": params[name].schema})
	}
	if in != nil {
		d["parameters"] = in
	}
	return d
}

func (rt route) needsToken() bool {
	return rt.right == play || rt.right == playStory || rt.right == manageScope
}

// statuses are those of the problems that the route answers.
func (rt route) statuses() []int {
	list := append([]int{http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusInternalServerError}, rt.problems...)
	if rt.needsToken() {
		list = append(list, http.StatusUnauthorized)
	}
	if rt.method != http.MethodGet { // the disk with the daemon's data may be full
		list = append(list, http.StatusInsufficientStorage)
	}
	if rt.right != public && rt.right != byForm { // the client's share, and the room or the store
		list = append(list, http.StatusTooManyRequests, http.StatusServiceUnavailable)
	}
	if strings.Contains(rt.path, "{") {
		list = append(list, http.StatusNotFound)
	}
	if len(rt.params) > 0 {
		list = append(list, http.StatusBadRequest)
	}
	if rt.body != nil {
		list = append(list, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if slices.ContainsFunc(rt.answers, func(a reply) bool { return a.status == http.StatusPartialContent }) {
		list = append(list, http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable)
	}
	return list
}

type param struct {
	description string
	schema      object
}

var (
	flag  = object{"type": "integer", "enum": []int{0, 1}, "default": 0}
	text  = object{"type": "string"}
	count = object{"type": "integer", "minimum": 0}
	some  = object{"type": "integer", "minimum": 1}
)

// params are the parameters of queries, by name.
var params = map[string]param{
	"at":        {"HLS: when the segment begins in the stream, in milliseconds", count},
	"before":    {"library.xml: all episodes are older than this time", object{"type": "string", "format": "date-time"}},
	"bytes":     {"HLS: how many bytes of the file the segment has", some},
	"challenge": {"a text that the daemon proves itself with", object{"type": "string", "maxLength": maxChallenge}},
	"chapter":   {"the number of a chapter", count},
	"cursor":    {"next_cursor of the page before", text},
	"download":  {"1: browsers save the file instead of showing it", flag},
	"exp":       {"of a signed link: when it ends, in seconds since 1970", object{"type": "integer"}},
	"expires_in": {"how many seconds the answer is valid",
		object{"type": "integer", "minimum": 1, "maximum": maxExpires, "default": defaultExpires}},
	"filename": {"the name of the file that is posted, ending in .mp3", text},
	"from":     {"HLS: the offset in the file at which the segment begins", count},
	"k":        {"the KEY", text},
	"keys":     {"1: replaces the KEYs of the token's user too", flag},
	"limit":    {"the largest number of entries on a page", object{"type": "integer", "minimum": 1, "maximum": 1000}},
	"local":    {"1: removes the files on this machine too", flag},
	"proxy":    {"1: the daemon sends the bytes itself, without a redirect", flag},
	"sig":      {"of a signed link: its signature", text},
	"state": {"lists only the files in this state", object{"type": "string",
		"enum": []codestory.FileState{codestory.Queued, codestory.Uploading, codestory.Retrying, codestory.Blocked}}},
	"user": {"the user; without it the token's own", text},
}

// pathParams are the parameters in a path.
func pathParams(path string) []object {
	var in []object
	for rest := path; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			return in
		}
		name, tail, _ := strings.Cut(after, "}")
		p := map[string]param{
			"id":   {"the story's UUID", object{"type": "string", "format": "uuid"}},
			"n":    {"the chapter's number", some},
			"path": {"the file's path; its slashes may be escaped", text},
			"name": {"the token's name", text},
		}[name]
		in = append(in, object{"name": name, "in": "path", "required": true, "description": p.description, "schema": p.schema})
		rest = tail
	}
}

// enums are the values of types that have few.
var enums = map[reflect.Type]any{
	reflect.TypeFor[codestory.Scope](): []codestory.Scope{codestory.ScopePlay, codestory.ScopeManage},
	reflect.TypeFor[codestory.FileState](): []codestory.FileState{codestory.Settling, codestory.Queued, codestory.Uploading,
		codestory.Retrying, codestory.Blocked, codestory.Synced, codestory.Missing, codestory.LeftOut},
	reflect.TypeFor[codestory.StoryState](): []codestory.StoryState{codestory.StorySynced, codestory.StoryPartial,
		codestory.StoryWaiting, codestory.StoryMissing},
	reflect.TypeFor[codestory.RemoteState](): remoteStates,
	reflect.TypeFor[codestory.Severity]():    []codestory.Severity{codestory.SeverityWarn, codestory.SeverityError},
}

// fieldEnums are the values of text fields that have few.
var fieldEnums = map[string][]string{
	"Link.source":         {"remote", "local"},
	"RemoteStatus.kind":   {"local", "s3", "rclone"},
	"WatchStatus.mode":    {"events", "polling"},
	"StorageStatus.level": {"ok", "warn", "critical", "full"},
}

// schemas are those of the types that the description names. They are read off the types, so they are what is sent.
type schemas map[string]any

func (s schemas) of(t reflect.Type) object {
	if values, ok := enums[t]; ok {
		return object{"type": "string", "enum": values}
	}
	if t == reflect.TypeFor[time.Time]() {
		return object{"type": "string", "format": "date-time"}
	}
	if t == reflect.TypeFor[codestory.Owner]() {
		return object{"type": []string{"string", "null"}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(s.of(t.Elem()))
	case reflect.Struct:
		name := schemaName(t)
		if _, known := s[name]; !known {
			s[name] = nil // for a type that holds itself
			s[name] = s.ofStruct(t)
		}
		return object{"$ref": "#/components/schemas/" + name}
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Float64:
		return object{"type": "number", "format": "double"}
	case reflect.String:
		return object{"type": "string"}
	default:
		panic("no schema for " + t.String())
	}
}

// schemaName tells the two kinds of problems apart: the daemon's, and those of requests.
func schemaName(t reflect.Type) string {
	if t == reflect.TypeFor[codestory.Problem]() {
		return "DaemonProblem"
	}
	return t.Name()
}

func (s schemas) ofStruct(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || name == "" {
			continue
		}
		property := s.of(f.Type)
		if values := fieldEnums[schemaName(t)+"."+name]; values != nil {
			property["enum"] = values
		}
		property["description"] = fieldDescriptions[name]
		properties[name] = property
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required}
}

// nullable is the schema with null besides.
func nullable(schema object) object {
	if kind, ok := schema["type"].(string); ok && schema["enum"] == nil {
		schema["type"] = []string{kind, "null"}
		return schema
	}
	return object{"anyOf": []object{schema, {"type": "null"}}}
}

// fieldDescriptions say what the fields of the API's JSON mean. A name means the same in all types.
var fieldDescriptions = map[string]string{
	"address":          "where the daemon listens",
	"attempt":          "attempts so far",
	"audio":            "what was read of the audio; null for other files, and until it was read",
	"bitrate":          "bits per second; null if unknown",
	"blocked":          "files that need a person",
	"bucket":           "the bucket; null if the store has none",
	"bytes":            "size in bytes, all files together",
	"bytes_per_second": "since the attempt began",
	"chapter_number":   "of a chapter's link",
	"chapters":         "in their order",
	"code":             "stable, for programs",
	"command":          "what to type; null if there is no such command",
	"commit":           "the commit that the story tells of",
	"content_type":     "media type",
	"cover":            "whether the file has a picture in its tags",
	"created_at":       "when it was made",
	"description":      "a text for people",
	"detail":           "a sentence for people",
	"details":          "some of the things it is about, a sentence each",
	"dir":              "the output directory",
	"directories":      "directories that are watched",
	"duration_seconds": "null if unknown",
	"endpoint":         "a URL, a folder or an rclone remote",
	"etag":             "of the object in the store, without quotes; null until it is there",
	"expires_at":       "when it ends",
	"expires_in":       "seconds until it ends",
	"faults":           "what players may have problems with",
	"feed_url":         "the podcast; ends when its KEY is replaced",
	"fields":           "form fields to send before the file",
	"files":            "the files, or their number",
	"id":               "the story's UUID, spelled as its folder",
	"ignored":          "files and directories that are not uploaded",
	"items":            "what waits",
	"key":              "the object's key in the store",
	"kind":             "the kind of store",
	"language":         "as in RFC 5646",
	"last_scan":        "when the last whole scan ended",
	"last_used":        "when it was used last; null for never",
	"level":            "how full the store is",
	"max_bytes":        "the largest file that the form takes",
	"message":          "a sentence for people",
	"mode":             "how changes are noticed",
	"modified_at":      "null if the file is not on this machine",
	"name":             "a name of its own",
	"next_attempt":     "when a retrying file is tried again; null for others",
	"next_cursor":      "?cursor= of the next page; null on the last",
	"number":           "of the chapter, from 1",
	"oldest_seconds":   "how long the oldest file has waited, except blocked ones",
	"path":             "relative to the output directory",
	"paused":           "whether a person has paused uploads",
	"pid":              "the daemon's process id",
	"play_url":         "a player URL, which ends when its KEY is replaced; null if nothing plays",
	"playlist_url":     "the chapters as a playlist; ends when its KEY is replaced",
	"problems":         "what is wrong",
	"proof":            "the answer to ?challenge=",
	"queue":            "what waits, in numbers",
	"queued":           "files that wait for their turn",
	"quota_bytes":      "bytes that the store may hold",
	"reason":           "one sentence",
	"remote":           "the store, and how it answers",
	"repository":       "the repository that the story tells of",
	"retried":          "files that are tried again at once",
	"retrying":         "files that wait for another attempt",
	"running":          "whether the daemon runs",
	"scope":            "what the token may do",
	"secret":           "the token itself, which is shown once",
	"sent_bytes":       "bytes sent so far",
	"severity":         "warn: uploads continue; error: a person has to act",
	"since":            "when it began",
	"size":             "bytes",
	"sound_offset":     "where the audio begins in the file, in bytes",
	"sound_size":       "bytes of the audio without tags",
	"source":           "where it comes from",
	"started_at":       "when the daemon started",
	"state":            "how it is",
	"status":           "ok, or the HTTP status of a problem",
	"storage":          "the room in the store; null if it does not tell",
	"stories":          "newest first",
	"synced":           "files whose present version is in the store",
	"title":            "a title for people",
	"tokens":           "without their secrets",
	"total_bytes":      "bytes to send",
	"truncated":        "whether there are more",
	"type":             "always about:blank",
	"uploading":        "files that are being sent",
	"uploads":          "uploads in progress",
	"url":              "a URL that needs no token, until it expires",
	"used_bytes":       "bytes in the store",
	"user":             "the user; empty is the daemon's own",
	"user_id":          "the user; empty is the daemon's own, null is unknown",
	"version":          "of the daemon",
	"watch":            "how the output directory is watched",
}
