package codestory_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// byName are the places in the parts that answer requests which may open files by name: none of those names comes from a
// request. All else reaches the output directory through an os.Root, out of which no path leads. A name that ends in "/"
// stands for all files of that directory.
var byName = []string{
	"daemon/access/",          // the data directory's own files
	"internal/atomicfile/",    // files that the caller names
	"daemon/jwt/",             // a setting
	"daemon/library/spool.go", // the data directory's own files, which have no names of others
	"daemon/problems.go",      // the data directory's own files
	"daemon/watch/root.go",    // the output directory itself, to make its os.Root, and what an event is about
}

// TestFilesAreReachedThroughARoot holds api and daemon to byName.
func TestFilesAreReachedThroughARoot(t *testing.T) {
	t.Parallel()
	faults, err := nameFaults(os.DirFS("."), []string{"api", "daemon"}, byName)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}

// nameFaults says in sentences where files below dirs call functions that take the name of a file.
func nameFaults(tree fs.FS, dirs, allowed []string) (faults []string, err error) {
	for _, dir := range dirs {
		err := fs.WalkDir(tree, dir, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
				return err
			}
			if slices.Contains(allowed, name) || slices.Contains(allowed, path.Dir(name)+"/") {
				return nil
			}
			src, err := fs.ReadFile(tree, name)
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if call := namedCall(n); call != "" {
					faults = append(faults, fmt.Sprintf("%s calls %s: reach files through an os.Root, or list it in byName with why", name, call))
				}
				return true
			})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return faults, nil
}

// namedCall is the function of package os, or the walk of package filepath, that n uses with a file's name.
func namedCall(n ast.Node) string {
	selector, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, ok := selector.X.(*ast.Ident)
	if !ok {
		return ""
	}
	call := pkg.Name + "." + selector.Sel.Name
	harmless := []string{"os.Getpid", "os.File", "os.Root", "os.FileInfo", "os.FileMode", "os.SameFile", "os.PathError", "os.Stderr"}
	walks := call == "filepath.Walk" || call == "filepath.WalkDir" || call == "filepath.Glob" || call == "http.ServeFile" || call == "http.Dir"
	if walks || pkg.Name == "os" && ast.IsExported(selector.Sel.Name) && !slices.Contains(harmless, call) &&
		!strings.HasPrefix(selector.Sel.Name, "O_") && !strings.HasPrefix(selector.Sel.Name, "Mode") && !strings.HasPrefix(selector.Sel.Name, "Err") {
		return call
	}
	return ""
}

// TestNameFaults shows that nameFaults finds what it should.
func TestNameFaults(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{}
	for name, body := range map[string]string{
		"api/bad.go":       `os.Open("x"); var _ = os.ErrNotExist; http.ServeFile(nil, nil, "x")`,
		"api/good.go":      `var r *os.Root; r.Open("x"); os.Getpid()`,
		"api/some_test.go": `os.Open("x")`,
		"api/own/file.go":  `os.ReadFile("x")`,
		"api/listed.go":    `os.ReadFile("x")`,
	} {
		tree[name] = &fstest.MapFile{Data: []byte("package p; func f() { " + body + " }\n")}
	}
	got, err := nameFaults(tree, []string{"api"}, []string{"api/own/", "api/listed.go"})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !strings.HasPrefix(got[0], "api/bad.go calls os.Open") || !strings.HasPrefix(got[1], "api/bad.go calls http.ServeFile") {
		t.Errorf("found %q", got)
	}
}
