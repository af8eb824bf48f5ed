package remotetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

func (s suite) remove(t *testing.T, store remote.Store) {
	remover, ok := store.(remote.Remover)
	if !ok {
		t.Skip("the store deletes nothing")
	}
	// Far more keys than any server takes at once, some of which have an object.
	var gone []string
	for i := range 2500 {
		gone = append(gone, fmt.Sprintf("%schapters/chapter_%04d.mp3", story, i))
	}
	for _, i := range []int{0, 999, 1000, 2499} {
		mustPut(t, store, gone[i], []byte("x"))
	}
	var stay []string
	for i, name := range keys {
		key := story + "odd/" + name + ".mp3"
		mustPut(t, store, key, []byte("x"))
		if i%2 == 0 {
			gone = append(gone, key)
		} else {
			stay = append(stay, key)
		}
	}
	gone = append(gone, gone[0], "", story+"chapters", strings.Repeat("k", 2000), story+"\xff")
	for range 2 {
		if err := remover.Remove(t.Context(), gone); err != nil {
			t.Fatalf("remove: %v", err)
		}
		for _, key := range []string{gone[0], gone[999], gone[1000], gone[2499], gone[2500]} {
			lacks(t, store, key)
		}
		for _, key := range stay {
			holds(t, store, key, []byte("x"))
		}
	}
	if err := remover.Remove(t.Context(), nil); err != nil {
		t.Errorf("remove nothing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := remover.Remove(ctx, stay); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	holds(t, store, stay[0], []byte("x"))
	mustPut(t, store, gone[0], []byte("again"))
	holds(t, store, gone[0], []byte("again"))
}

func (s suite) list(t *testing.T, store remote.Store) {
	lister, ok := store.(remote.Lister)
	if !ok {
		t.Skip("the store lists nothing")
	}
	// Names that come in another order as bytes of a key than as names in a folder.
	names := []string{
		"a/x.mp3", "a-b/x.mp3", "a.b/x.mp3", "a b/x.mp3", "a0/x.mp3", "a.mp3", "A.mp3", "a/b/c.mp3", "a/b-c.mp3",
		"Größe.mp3", "日本語/1.mp3", "100%25.mp3", "z.mp3", "colon:colon/1.mp3",
	}
	all := []string{"stories/11111111-1111-1111-1111-111111111111/metadata.json"}
	for i, name := range names {
		mustPut(t, store, story+name, Bytes(i))
		all = append(all, story+name)
	}
	mustPut(t, store, all[0], nil)
	slices.Sort(all)
	for _, q := range []struct{ prefix, after string }{
		{"", ""}, {codestory.KeyPrefix, ""}, {story, ""}, {story + "a", ""}, {story + "a/", ""}, {story + "a/b", ""},
		{story + "z.mp3", ""}, {story + "absent", ""}, {"nothing/of/the/kind", ""}, {story, story + "a-b"},
		{story, story + "a-b/x.mp3"}, {story, story + "a/b"}, {"", all[0]}, {"", all[len(all)-1]}, {story, "a"}, {story, "z"},
	} {
		var want []string
		for _, key := range all {
			if strings.HasPrefix(key, q.prefix) && key > q.after {
				want = append(want, key)
			}
		}
		var got []string
		for object, err := range lister.List(t.Context(), q.prefix, q.after) {
			if err != nil {
				t.Fatalf("list %q after %q: %v", q.prefix, q.after, err)
			}
			got = append(got, object.Key)
			listedAsStat(t, store, object)
		}
		if !slices.Equal(got, want) {
			t.Errorf("list %q after %q:\n%q\nwant\n%q", q.prefix, q.after, got, want)
		}
	}
	for range lister.List(t.Context(), "", "") {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for object, err := range lister.List(ctx, "", "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %+v, %v", object, err)
		}
	}
}

func listedAsStat(t *testing.T, store remote.Store, listed remote.Object) {
	t.Helper()
	stat, err := store.Stat(t.Context(), listed.Key)
	if err != nil {
		t.Errorf("stat of what was listed: %v", err)
		return
	}
	if listed.Size != stat.Size || listed.ETag != "" && listed.ETag != stat.ETag || listed.MD5 != "" && listed.MD5 != stat.MD5 ||
		listed.Modified.Sub(stat.Modified).Abs().Seconds() >= 1 { // HTTP's times are whole seconds
		t.Errorf("listed %+v, stat says %+v", listed, stat)
	}
}

func (s suite) copy(t *testing.T, store remote.Store) {
	copier, ok := store.(remote.Copier)
	if !ok {
		t.Skip("the store copies nothing")
	}
	if s.opts.NoCopy != "" {
		t.Skip(s.opts.NoCopy)
	}
	from, to := story+"audio/old name (1) + ü.mp3", story+"audio/new 100%.mp3"
	data := Bytes(100_000)
	metadata := map[string]string{"codestory-version": "1", "title": "Größe"}
	if _, err := put(t, store, from, NewSource(data), remote.PutOptions{ContentType: mp3, Metadata: metadata}); err != nil {
		t.Fatal(err)
	}
	source, err := store.Stat(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	for _, there := range []string{"nothing", "another object"} {
		made, err := copier.Copy(t.Context(), source, to)
		if err != nil {
			t.Fatalf("over %s: %v", there, err)
		}
		if made.Key != to || made.Size != source.Size || made.MD5 != "" && made.MD5 != sum(data) {
			t.Errorf("copy returned %+v of %+v", made, source)
		}
		holds(t, store, to, data)
		holds(t, store, from, data)
		s.sameAttributes(t, store, from, to)
		mustPut(t, store, to, []byte("another object"))
	}
	mustPut(t, store, from, []byte("another version"))
	if made, err := copier.Copy(t.Context(), source, to); !errors.Is(err, remote.ErrReplaced) {
		t.Errorf("copy of a version that is gone: %+v, %v, want ErrReplaced", made, err)
	}
	holds(t, store, to, []byte("another object"))
	absent := source
	absent.Key = story + "absent.mp3"
	if made, err := copier.Copy(t.Context(), absent, to); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("copy of what is absent: %+v, %v, want ErrNotFound", made, err)
	}
	holds(t, store, to, []byte("another object"))
}

func (s suite) sameAttributes(t *testing.T, store remote.Store, one, other string) {
	t.Helper()
	first, err := store.Stat(t.Context(), one)
	second, err2 := store.Stat(t.Context(), other)
	if err := errors.Join(err, err2); err != nil || first.ContentType != second.ContentType {
		t.Errorf("content types %q and %q, %v", first.ContentType, second.ContentType, err)
	}
	if s.opts.NoMetadata != "" {
		return
	}
	got := s.opts.Metadata(t, store, other)
	for name, want := range s.opts.Metadata(t, store, one) {
		if got[name] != want {
			t.Errorf("metadata %s is %q, want %q", name, got[name], want)
		}
	}
}
