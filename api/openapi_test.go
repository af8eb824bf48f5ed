package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/julienschmidt/httprouter"
)

// registered notes the routes that are registered with it.
type registered map[string]bool

func (r registered) Handle(method, pattern string, _ httprouter.Handle) { r[method+" "+pattern] = true }

// Every route is described, and what is described is a route.
func TestDescriptionHasTheRoutes(t *testing.T) {
	t.Parallel()
	routes, described := registered{}, registered{}
	new(server).routes(routes)
	ids := map[string]bool{}
	for _, o := range operations {
		described.Handle(o.method, o.pattern(), nil)
		if o.method == http.MethodGet {
			described.Handle(http.MethodHead, o.pattern(), nil)
		}
		if ids[o.id] || o.id == "" || o.summary == "" || len(o.answers) == 0 {
			t.Errorf("%s %s has no id of its own, no summary or no answer", o.method, o.path)
		}
		ids[o.id] = true
		for _, name := range o.params {
			if params[name] == nil {
				t.Errorf("%s: what is the parameter %s?", o.path, name)
			}
		}
		if secured := slices.Contains(o.problems, http.StatusUnauthorized); secured != (o.right != rightNone) {
			t.Errorf("%s %s: needs the right %q, and 401 is an answer: %v", o.method, o.path, o.right, secured)
		}
	}
	if got, want := slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(routes)); !slices.Equal(got, want) {
		t.Errorf("described:\n%s\nregistered:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for name := range params {
		if !slices.ContainsFunc(operations, func(o operation) bool { return slices.Contains(o.params, name) }) {
			t.Errorf("nothing has the parameter %s", name)
		}
	}
}

// The schemas are of what the types are sent as, and every reference leads to one.
func TestDescriptionHasTheTypes(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(describeAPI(operations, "1", "/daemon/"))
	if err != nil {
		t.Fatal(err)
	}
	var description struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any
				Required   []string
			}
		}
	}
	if err := json.Unmarshal(b, &description); err != nil {
		t.Fatal(err)
	}
	all := description.Components.Schemas
	for rest := string(b); ; {
		_, after, ok := strings.Cut(rest, `"#/components/schemas/`)
		if !ok {
			break
		}
		name, tail, _ := strings.Cut(after, `"`)
		if all[name].Properties == nil {
			t.Errorf("no schema of %s", name)
		}
		rest = tail
	}
	for _, o := range operations {
		bodies := []any{o.body}
		for _, a := range o.answers {
			if list, ok := a.body.(oneOf); ok {
				bodies = append(bodies, list...)
			} else {
				bodies = append(bodies, a.body)
			}
		}
		for _, v := range bodies {
			if v == nil {
				continue
			}
			ref, _ := schemas{}.of(v)["$ref"].(string)
			schema := all[ref[strings.LastIndex(ref, "/")+1:]]
			sent, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			var fields map[string]any
			if err := json.Unmarshal(sent, &fields); err != nil {
				t.Fatal(err)
			}
			for name := range fields {
				if schema.Properties[name] == nil {
					t.Errorf("%s has no %s, which is sent", ref, name)
				}
			}
			for _, name := range schema.Required {
				if _, ok := fields[name]; !ok {
					t.Errorf("%s requires %s, which is not sent", ref, name)
				}
			}
		}
	}
}

// Whoever makes a client of the description is told where the API is, and for each operation whether it needs a token.
func TestDescriptionIsWhole(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{"": "/", "/": "/", "/daemon/": "/daemon"} {
		b, err := json.Marshal(describeAPI(operations, "1", base))
		if err != nil {
			t.Fatal(err)
		}
		var description struct {
			Servers []struct{ URL string }
			Paths   map[string]map[string]json.RawMessage
		}
		if err := json.Unmarshal(b, &description); err != nil {
			t.Fatal(err)
		}
		if s := description.Servers; len(s) != 1 || s[0].URL != want {
			t.Errorf("below %q: servers %+v, want %s", base, s, want)
		}
		for path, item := range description.Paths {
			for method, raw := range item {
				if method == "parameters" {
					continue
				}
				var o struct {
					Security  []map[string][]string
					Responses map[string]any
				}
				if err := json.Unmarshal(raw, &o); err != nil || o.Security == nil {
					t.Errorf("%s %s: %v, security %v", method, path, err, o.Security)
				}
				refused := func(status string) bool { return strings.HasPrefix(status, "4") }
				if !slices.ContainsFunc(slices.Collect(maps.Keys(o.Responses)), refused) {
					t.Errorf("%s %s is never refused", method, path)
				}
			}
		}
	}
}
