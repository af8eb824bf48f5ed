package codestory_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/codestory/codestoryd"

// allowed lists what the files of a package may import, or which packages may import something: code is for all of
// its files, tests for _test.go files besides.
type allowed struct{ code, tests []string }

// arrows are the imports between packages of this module. Each package stands here, by its directory, or the test
// fails: whoever adds one says where it belongs. What is imported by tests only has a name that ends in "test".
var arrows = map[string]allowed{
	".": {},
	"api": {
		code:  []string{".", "api/feed"},
		tests: []string{"api/client"},
	},
	"queue": {
		code:  []string{".", "internal/wait", "queue/db"},
		tests: []string{"internal/problem", "queue/queuetest"},
	},
	"queue/db":        {code: []string{".", "internal/atomicfile", "internal/disk", "internal/problem"}},
	"queue/queuetest": {code: []string{".", "queue"}},
	"remote": {
		code:  []string{".", "internal/atomicfile"},
		tests: []string{"remote/remotetest"},
	},
	"remote/s3": {
		code:  []string{".", "remote"},
		tests: []string{"remote/remotetest"},
	},
	"remote/folder": {
		code:  []string{".", "internal/atomicfile", "remote"},
		tests: []string{"remote/remotetest"},
	},
	"remote/rclone": {
		code:  []string{".", "remote", "remote/rclone/lazy"},
		tests: []string{"remote/remotetest"},
	},
	"remote/rclone/lazy": {},
	"remote/remotetest":  {code: []string{".", "remote"}},
	// Programs of their own, run by hand, that measure the daemon as a user runs it.
	"bench/latency": {},
	"bench/peers":   {code: []string{".", "api/client", "remote/remotetest"}},
	"api/client":    {code: []string{".", "api"}},
	"api/feed":      {},
	"daemon": {
		code: []string{".", "daemon/audio", "daemon/library", "daemon/upload", "daemon/watch", "internal/problem", "internal/wait", "queue",
			"remote"},
		tests: []string{"queue/queuetest", "remote/remotetest"},
	},
	"daemon/library": {
		code: []string{".", "daemon/upload", "daemon/watch", "internal/atomicfile", "internal/disk", "internal/problem", "internal/wait",
			"queue", "remote"},
		tests: []string{"remote/remotetest"},
	},
	"daemon/upload": {
		code:  []string{".", "daemon/watch", "internal/wait", "queue", "remote"},
		tests: []string{"remote/remotetest"},
	},
	"daemon/access":       {code: []string{".", "internal/atomicfile", "internal/problem"}},
	"internal/atomicfile": {code: []string{".", "internal/problem"}},
	"internal/disk":       {},
	"internal/problem":    {code: []string{"."}},
	"internal/wait":       {},
	"daemon/jwt":          {code: []string{".", "internal/atomicfile", "internal/problem"}},
	"daemon/audio":        {code: []string{"."}},
	"daemon/watch":        {code: []string{".", "internal/problem", "internal/wait"}, tests: []string{"remote"}},
	"cmd/codestoryd": {
		code: []string{".", "api", "api/client", "daemon", "daemon/access", "internal/atomicfile", "daemon/jwt",
			"daemon/watch", "internal/problem", "internal/wait", "queue", "remote", "remote/folder", "remote/rclone", "remote/s3"},
		tests: []string{"remote/remotetest"},
	},
}

// libraries are the packages of others, and who may import them: one owner each. A pattern that ends in "/..." also
// stands for what is below it.
var libraries = map[string]allowed{
	"github.com/BurntSushi/toml":          {code: []string{"cmd/codestoryd"}},
	"github.com/aws/aws-sdk-go-v2/...":    {code: []string{"remote/s3"}}, // where credentials come from
	"github.com/aws/smithy-go/logging":    {code: []string{"remote/s3"}}, // its log
	"github.com/coreos/go-oidc/v3/oidc":   {code: []string{"daemon/jwt"}},
	"github.com/fsnotify/fsnotify":        {code: []string{"daemon/watch"}},
	"github.com/go-jose/go-jose/v4/...":   {code: []string{"daemon/jwt"}},
	"github.com/getkin/kin-openapi/...":   {tests: []string{"api"}}, // a validator of the description
	"github.com/julienschmidt/httprouter": {code: []string{"api"}},
	"github.com/minio/minio-go/v7/...": {code: []string{"remote/s3", "remote/remotetest", "bench/latency",
		"bench/peers"}, tests: []string{"cmd/codestoryd"}},
	"github.com/mmcdole/gofeed":               {tests: []string{"api", "api/feed", "cmd/codestoryd"}}, // a parser of another house
	"github.com/pkg/sftp":                     {tests: []string{"remote/rclone"}},                     // a server for its backends
	"github.com/prometheus/client_golang/...": {code: []string{"api"}},
	"github.com/rclone/rclone/...":            {code: []string{"remote/rclone"}},
	"github.com/rclone/rclone/fs":             {code: []string{"cmd/codestoryd"}}, // the syntax of --bwlimit
	"github.com/rclone/rclone/fs/filter":      {code: []string{"cmd/codestoryd"}}, // the syntax of --exclude
	"github.com/rogpeppe/go-internal/...":     {tests: []string{"cmd/codestoryd"}},
	"github.com/spf13/cobra":                  {code: []string{"cmd/codestoryd"}},
	"github.com/spf13/pflag":                  {code: []string{"cmd/codestoryd"}},
	"go.etcd.io/bbolt/...":                    {code: []string{"queue/db"}},
	"golang.org/x/crypto/ssh":                 {tests: []string{"remote/rclone"}}, // a server for its backends
	"golang.org/x/net/http/httpproxy":         {code: []string{"remote/s3"}},
	"golang.org/x/net/webdav":                 {tests: []string{"remote/rclone"}}, // a server for its backends
	"golang.org/x/oauth2":                     {code: []string{"remote/rclone"}},  // errors of its backends
	"golang.org/x/sync/errgroup":              {code: []string{"daemon", "daemon/watch", "queue/queuetest", "remote/s3"}, tests: []string{"queue"}},
	"golang.org/x/sync/semaphore":             {code: []string{"daemon/upload"}},
	"golang.org/x/sys/...":                    {code: []string{"daemon/watch", "remote/folder", "remote/rclone", "remote/remotetest", "remote/s3"}},
	"golang.org/x/text/unicode/norm":          {code: []string{"daemon/library", "remote/folder"}}, // names that look the same
	"golang.org/x/time/rate":                  {code: []string{"api", "remote"}},
	"google.golang.org/api/googleapi":         {code: []string{"remote/rclone"}}, // errors of its backends
	"go.yaml.in/yaml/v4":                      {tests: []string{"."}},
}

// TestImports holds the packages of this module against arrows and libraries. It reads the files itself: a test that
// asks "go list" is answered from the test cache after a file was added.
func TestImports(t *testing.T) {
	t.Parallel()
	faults, err := importFaults(os.DirFS("."), arrows, libraries)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}

// importFaults reads every Go file below tree, whatever system it is for, and says in sentences what breaks the rules.
func importFaults(tree fs.FS, arrows, libraries map[string]allowed) (faults []string, err error) {
	seen := map[string]bool{}
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && hasNoPackages(name):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		dir := path.Dir(name)
		if _, listed := arrows[dir]; !listed {
			if !seen[dir] {
				faults = append(faults, fmt.Sprintf("package %s is not listed in arrows", dir))
			}
			seen[dir] = true
			return nil
		}
		seen[dir] = true
		imports, err := importsOf(tree, name)
		if err != nil {
			return err
		}
		for _, imported := range imports {
			if why := importFault(dir, strings.HasSuffix(name, "_test.go"), imported, arrows, libraries); why != "" {
				faults = append(faults, fmt.Sprintf("%s imports %s: %s", name, imported, why))
			}
		}
		return nil
	})
	for _, dir := range slices.Sorted(maps.Keys(arrows)) {
		if !seen[dir] {
			faults = append(faults, fmt.Sprintf("package %s is listed in arrows, and is not there", dir))
		}
	}
	return faults, err
}

// hasNoPackages reports whether the go command passes a directory over, as testdata and .git.
func hasNoPackages(dir string) bool {
	name := path.Base(dir)
	return name == "testdata" || dir != "." && (name[0] == '.' || name[0] == '_')
}

// importFault says why a file in dir may not import that package; "" where it may.
func importFault(dir string, isTest bool, imported string, arrows, libraries map[string]allowed) string {
	internal, isInternal := cutModule(imported)
	first, _, _ := strings.Cut(imported, "/")
	switch {
	case imported == "C":
		return "every build is without cgo"
	case isInternal && isTest && internal == dir:
		return ""
	case isInternal && !isTest && strings.HasSuffix(internal, "test") && !strings.HasPrefix(dir, "bench/"):
		return "only tests and the programs in bench import it"
	case isInternal:
		if rule := arrows[dir]; slices.Contains(rule.code, internal) || isTest && slices.Contains(rule.tests, internal) {
			return ""
		}
		return "no such arrow"
	case !strings.Contains(first, "."):
		return "" // the standard library
	}
	for pattern, users := range libraries {
		above, isTree := strings.CutSuffix(pattern, "/...")
		if imported != above && !(isTree && strings.HasPrefix(imported, above+"/")) {
			continue
		}
		if slices.Contains(users.code, dir) || isTest && slices.Contains(users.tests, dir) {
			return ""
		}
	}
	return "the library belongs to another package, or is not listed in libraries"
}

// cutModule is the directory of a package of this module.
func cutModule(imported string) (dir string, ok bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func importsOf(tree fs.FS, name string) (imports []string, err error) {
	src, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	for _, spec := range file.Imports {
		imports = append(imports, strings.Trim(spec.Path.Value, "\"`"))
	}
	return imports, nil
}

// TestImportFaults shows that importFaults can find each kind of fault, and finds none where there is none.
func TestImportFaults(t *testing.T) {
	t.Parallel()
	arrows := map[string]allowed{
		".":               {},
		"store":           {code: []string{"."}, tests: []string{"store/storetest"}},
		"store/storetest": {code: []string{"store"}},
		"gone":            {},
	}
	libraries := map[string]allowed{
		"example.com/db":       {code: []string{"store"}},
		"example.com/tree/...": {code: []string{"store"}},
		"example.com/check":    {tests: []string{"store"}},
	}
	tree := fstest.MapFS{}
	for name, imports := range map[string]string{
		"root.go":                   `"fmt"; "example.com/db"`,
		"root_test.go":              `"` + module + `"; "` + module + `/store"`,
		"store/good.go":             `"` + module + `"; "example.com/db"; alias "example.com/tree/leaf"; . "os"`,
		"store/good_test.go":        `"` + module + `/store"; "` + module + `/store/storetest"; "example.com/check"`,
		"store/bad_windows.go":      `"` + module + `/store/storetest"; "example.com/db/v2"; "example.com/check"; "C"`,
		"store/storetest/good.go":   `"` + module + `/store"; _ "embed"`,
		"new/a.go":                  `"fmt"`,
		"new/b.go":                  `"fmt"`,
		"store/testdata/skipped.go": `"example.com/unlisted"`,
		".hidden/skipped.go":        `"example.com/unlisted"`,
	} {
		tree[name] = &fstest.MapFile{Data: []byte("package p; import (" + imports + ")\n")}
	}
	tree["store/README.md"] = &fstest.MapFile{Data: []byte("no Go")}

	got, err := importFaults(tree, arrows, libraries)
	if err != nil {
		t.Fatal(err)
	}
	const notYours = "the library belongs to another package, or is not listed in libraries"
	want := []string{
		"package gone is listed in arrows, and is not there",
		"package new is not listed in arrows",
		"root.go imports example.com/db: " + notYours,
		"root_test.go imports " + module + "/store: no such arrow",
		"store/bad_windows.go imports C: every build is without cgo",
		"store/bad_windows.go imports " + module + "/store/storetest: only tests and the programs in bench import it",
		"store/bad_windows.go imports example.com/check: " + notYours,
		"store/bad_windows.go imports example.com/db/v2: " + notYours,
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("faults:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
