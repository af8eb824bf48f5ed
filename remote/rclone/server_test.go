package rclone

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/pkg/sftp"
	"github.com/rclone/rclone/fs/config/obscure"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/webdav"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

func webdavServer(t *testing.T) http.Handler {
	return &webdav.Handler{FileSystem: webdav.Dir(t.TempDir()), LockSystem: webdav.NewMemLS()}
}

// serve starts an HTTP server and returns the name of the rclone remote that it is.
func serve(t *testing.T, handler http.Handler) string {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return fmt.Sprintf(":webdav,url='%s':top", server.URL)
}

// TestWebDAVRemote is not the suite: rclone's backend rests a second after each upload that fails. It also deletes the
// object then, which has to be the temporary.
func TestWebDAVRemote(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it starts a server")
	}
	t.Parallel()
	store := newStore(t, serve(t, webdavServer(t)))
	for name, broken := range map[string]*remotetest.Source{
		"empty":     remotetest.NewSource(nil).ChangeAfter(0),
		"small.mp3": remotetest.NewSource([]byte("x")).ChangeAfter(1),
		"large":     remotetest.NewSource(remotetest.Bytes(1<<20)).FailAt(1<<19, io.ErrClosedPipe),
	} {
		mustPut(t, store, story+name, "the old version")
		if _, err := store.Put(t.Context(), story+name, broken, remote.PutOptions{}); broken.Check() != nil && !errors.Is(err, codestory.ErrChanged) || err == nil {
			t.Errorf("%s: %v, want the source's error", name, err)
		}
		if got := mustRead(t, store, story+name); got != "the old version" {
			t.Errorf("%s: the object now reads %q", name, got)
		}
		mustPut(t, store, story+name, "")
		if object, err := store.Stat(t.Context(), story+name); err != nil || object.Size != 0 {
			t.Errorf("%s: %+v, %v, want an empty object", name, object, err)
		}
	}
	notThroughFiles(t, store)
}

// notThroughFiles asks for, and puts, a key that would need a directory where an object is.
func notThroughFiles(t *testing.T, store remote.Store) {
	t.Helper()
	mustPut(t, store, key, "x")
	if object, err := store.Stat(t.Context(), key+"/below/it"); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("stat below an object: %+v, %v, want ErrNotFound", object, err)
	}
	_, err := store.Put(t.Context(), key+"/below/it", remotetest.NewSource([]byte("y")), remote.PutOptions{})
	if codestory.ClassOf(t.Context(), err) != codestory.ClassBlock || codestory.Hint(err) == "" {
		t.Errorf("put below an object: %v, want it blocked", err)
	}
	if got := mustRead(t, store, key); got != "x" {
		t.Errorf("the object now reads %q", got)
	}
}

func TestSFTPRemote(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it starts a server")
	}
	t.Parallel()
	remotetest.TestStore(t, func(t *testing.T) remote.Store { return newStore(t, sftpServer(t, "secret")) }, remotetest.Options{
		NoContentType: "files have none",
		NoCopy:        "this server copies nothing by itself",
		NoMetadata:    "files have none",
	})
}

func TestFilesInTheWay(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"disk:" + rand.Text(), sftpServer(t, "secret")} {
		notThroughFiles(t, newStore(t, name))
	}
}

// sftpServer starts one in this process and returns the name of the rclone remote that it is. It has no shell, so
// there are no checksums.
func sftpServer(t *testing.T, password string) string {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		if string(password) != "secret" {
			return nil, errors.New("wrong password")
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var conns sync.WaitGroup
	var open sync.Map
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Store(conn, nil)
			conns.Go(func() { serveSFTP(conn, config, dir) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		open.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
		conns.Wait()
	})
	port := listener.Addr().(*net.TCPAddr).Port
	return fmt.Sprintf(":sftp,host=127.0.0.1,port=%d,user=me,pass=%s,shell_type=none:%s", port, obscure.MustObscure(password), dir)
}

func serveSFTP(conn net.Conn, config *ssh.ServerConfig, dir string) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { ssh.DiscardRequests(requests) })
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		running.Go(func() {
			for request := range requests { // the one that matters is "subsystem sftp"
				_ = request.Reply(request.Type == "subsystem", nil)
			}
		})
		running.Go(func() {
			defer channel.Close()
			server, err := sftp.NewServer(channel, sftp.WithServerWorkingDirectory(dir))
			if err == nil {
				_ = server.Serve() // until the client goes
			}
		})
	}
}

// TestRemoteComesAndGoes makes the store while its server is down.
func TestRemoteComesAndGoes(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	store := newStore(t, fmt.Sprintf(":webdav,url='http://%s/':", address))
	put := func() error {
		_, err := store.Put(t.Context(), key, remotetest.NewSource([]byte("x")), remote.PutOptions{})
		return err
	}
	wantState(t, "check before", store.Check(t.Context()), codestory.RemoteUnavailable)
	wantState(t, "put before", put(), codestory.RemoteUnavailable)

	if listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(webdavServer(t))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	if err := errors.Join(store.Check(t.Context()), put()); err != nil {
		t.Errorf("while it is up: %v", err)
	}

	server.Close()
	wantState(t, "check after", store.Check(t.Context()), codestory.RemoteUnavailable)
	wantState(t, "put after", put(), codestory.RemoteUnavailable)
	_, err = store.Stat(t.Context(), key)
	wantState(t, "stat after", err, codestory.RemoteUnavailable)
}

func wantState(t *testing.T, what string, err error, want codestory.RemoteState) {
	t.Helper()
	e, ok := errors.AsType[*codestory.Error](err)
	if !ok || e.Class != codestory.ClassPause || e.State != want {
		t.Errorf("%s: %v, want a pause because the remote is %s", what, err, want)
	}
}

// TestServerThatRefuses answers uploads, or everything, with one status.
func TestServerThatRefuses(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it starts a server")
	}
	t.Parallel()
	for status, want := range map[int]codestory.RemoteState{
		http.StatusUnauthorized:        codestory.RemoteDenied,
		http.StatusForbidden:           codestory.RemoteDenied,
		http.StatusInsufficientStorage: codestory.RemoteFull,
		http.StatusServiceUnavailable:  codestory.RemoteUnavailable,
	} {
		dav := webdavServer(t)
		uploads := newStore(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				w.WriteHeader(status)
				return
			}
			dav.ServeHTTP(w, r)
		})))
		_, err := uploads.Put(t.Context(), key, remotetest.NewSource(remotetest.Bytes(100)), remote.PutOptions{})
		wantState(t, fmt.Sprint(status, " to uploads"), err, want)
		all := newStore(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })))
		wantState(t, fmt.Sprint(status, " to all"), all.Check(t.Context()), want)
	}
	wrong := newStore(t, sftpServer(t, "guessed")).Check(t.Context())
	wantState(t, "wrong password", wrong, codestory.RemoteUnavailable) // x/crypto/ssh says it in words only
}

// TestServerThatLies takes uploads and keeps something else, or nothing.
func TestServerThatLies(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(dav http.Handler, w http.ResponseWriter, r *http.Request){
		"a captive portal": func(_ http.Handler, w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>Please log in</html>")
		},
		"a server that loses the end": func(dav http.Handler, w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				body := r.Body
				r.Body = io.NopCloser(io.LimitReader(body, 50))
				r.ContentLength = 50
				defer io.Copy(io.Discard, body)
			}
			dav.ServeHTTP(w, r)
		},
		"a server that changes a byte": func(dav http.Handler, w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				r.Body = io.NopCloser(flip{r.Body})
			}
			dav.ServeHTTP(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dav := webdavServer(t)
			honest := newStore(t, serve(t, dav))
			mustPut(t, honest, key, "the old version")
			store := newStore(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { lie(dav, w, r) })))
			object, err := store.Put(t.Context(), key, remotetest.NewSource(remotetest.Bytes(100)), remote.PutOptions{})
			if err == nil {
				t.Errorf("put: %+v, want an error", object)
			}
			if got := mustRead(t, honest, key); got != "the old version" {
				t.Errorf("the object now reads %q", got)
			}
		})
	}
}

// flip changes a bit of every byte.
type flip struct{ io.Reader }

func (f flip) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	for i := range n {
		p[i] ^= 1
	}
	return n, err
}
