package api

import (
	"reflect"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
)

// params are the parameters of queries, by name.
var params = map[string]object{
	"at":         {"type": "integer", "minimum": 0}, // milliseconds
	"before":     {"type": "string", "format": "date-time"},
	"bytes":      {"type": "integer", "minimum": 1},
	"challenge":  {"type": "string", "maxLength": maxChallenge},
	"chapter":    {"type": "integer", "minimum": 1},
	"cursor":     {"type": "string"},
	"download":   {"type": "integer", "enum": []int{0, 1}, "default": 0},
	"exp":        {"type": "integer"},
	"expires_in": {"type": "integer", "minimum": 1, "maximum": maxExpires, "default": defaultExpires},
	"filename":   {"type": "string"},
	"from":       {"type": "integer", "minimum": 0},
	"ignored":    {"type": "integer", "enum": []int{0, 1}, "default": 0},
	"k":          {"type": "string"},
	"keys":       {"type": "integer", "enum": []int{0, 1}, "default": 0},
	"limit":      {"type": "integer", "minimum": 1},
	"local":      {"type": "integer", "enum": []int{0, 1}, "default": 0},
	"proxy":      {"type": "integer", "enum": []int{0, 1}, "default": 0},
	"sig":        {"type": "string"},
	"state":      {"type": "string", "enum": []codestory.FileState{codestory.Queued, codestory.Uploading, codestory.Retrying, codestory.Blocked}},
	"user":       {"type": "string"},
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
		schema := object{"type": "string"}
		switch name {
		case "id":
			schema["format"] = "uuid"
		case "n":
			schema = object{"type": "integer", "minimum": 1}
		}
		in = append(in, object{"name": name, "in": "path", "required": true, "schema": schema})
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
}

// oneOf stands for an answer of either type.
type oneOf []any

// schemas are those of the types that were asked for, by name. They are read off the types, so that they are what is
// sent.
type schemas map[string]any

// of is the schema of v's type: a reference, where the type has a name.
func (s schemas) of(v any) object {
	if list, ok := v.(oneOf); ok {
		var all []object
		for _, v := range list {
			all = append(all, s.of(v))
		}
		return object{"oneOf": all}
	}
	return s.ofType(reflect.TypeOf(v))
}

func (s schemas) ofType(t reflect.Type) object {
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
		return nullable(s.ofType(t.Elem()))
	case reflect.Struct:
		name := schemaName(t)
		if _, known := s[name]; !known {
			s[name] = nil // for a type that holds itself
			s[name] = s.ofStruct(t)
		}
		return object{"$ref": "#/components/schemas/" + name}
	case reflect.Slice:
		return object{"type": "array", "items": s.ofType(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.ofType(t.Elem())}
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
		properties[name] = s.ofType(f.Type)
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
