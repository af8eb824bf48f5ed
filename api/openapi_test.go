package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// The table has what every operation needs, and the router takes it.
func TestRoutes(t *testing.T) {
	t.Parallel()
	(&server{}).newRouter() // panics on routes that exclude each other
	ids := map[string]bool{}
	for _, rt := range routes {
		if ids[rt.id] || rt.id == "" || rt.summary == "" || len(rt.answers) == 0 || rt.handle == nil {
			t.Errorf("%s %s has no id of its own, no summary, no answer or no handler", rt.method, rt.path)
		}
		ids[rt.id] = true
		for _, name := range rt.params {
			if params[name].description == "" {
				t.Errorf("%s: what is the parameter %s?", rt.path, name)
			}
		}
	}
	for name := range params {
		if !slices.ContainsFunc(routes, func(rt route) bool { return slices.Contains(rt.params, name) }) {
			t.Errorf("no route has the parameter %s", name)
		}
	}
}

// The schemas are of what the types are sent as, each field is described, and every description is of a field.
func TestDescriptionHasTheTypes(t *testing.T) {
	t.Parallel()
	all := schemas{}
	described := maps.Clone(fieldDescriptions)
	values := []any{Problem{}}
	for _, rt := range routes {
		values = append(values, rt.body)
		for _, a := range rt.answers {
			values = append(values, a.body)
		}
	}
	for _, v := range values {
		if v == nil {
			continue
		}
		all.of(reflect.TypeOf(v))
		schema := all[schemaName(reflect.TypeOf(v))].(object)
		sent, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(sent, &fields); err != nil {
			t.Fatal(err)
		}
		for name := range fields {
			if schema["properties"].(object)[name] == nil {
				t.Errorf("%T has no %s, which is sent", v, name)
			}
		}
		for _, name := range schema["required"].([]string) {
			if _, ok := fields[name]; !ok {
				t.Errorf("%T requires %s, which is not sent", v, name)
			}
		}
	}
	for name, schema := range all {
		for field := range schema.(object)["properties"].(object) {
			if fieldDescriptions[field] == "" {
				t.Errorf("%s.%s is not described", name, field)
			}
			delete(described, field)
		}
	}
	for name := range described {
		t.Errorf("no type has the field %s", name)
	}
}

// The description is valid, and says where the API is and for each operation whether it needs a token.
func TestDescriptionIsValid(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{"": "/", "/": "/", "/daemon/": "/daemon"} {
		b, err := json.Marshal(describeAPI(routes, "1", base))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := openapi3.NewLoader().LoadFromData(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.Validate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := doc.Servers; len(s) != 1 || s[0].URL != want {
			t.Errorf("below %q: servers %+v, want %s", base, s, want)
		}
		for path, item := range doc.Paths.Map() {
			for method, o := range item.Operations() {
				refused := func(status string) bool { return strings.HasPrefix(status, "4") }
				if o.Security == nil || !slices.ContainsFunc(slices.Collect(maps.Keys(o.Responses.Map())), refused) {
					t.Errorf("%s %s: security %v, and it is never refused", method, path, o.Security)
				}
				if needs := len(*o.Security) > 0; needs != (o.Responses.Status(http.StatusUnauthorized) != nil) {
					t.Errorf("%s %s needs a token: %v", method, path, needs)
				}
			}
		}
	}
}
