package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

var realPlayers = flag.Bool("players", false, "try mpv, ffmpeg and chromium, which have to be installed")

// lifetime is how long the store of TestRealPlayers takes a presigned URL: it has ended when the players seek.
const lifetime = 2 * time.Second

// forgetful stands in front of a store and refuses presigned URLs that are older than lifetime, whatever they say.
func forgetful(t *testing.T, target string) string {
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		made, err := time.Parse("20060102T150405Z", r.URL.Query().Get("X-Amz-Date"))
		if err == nil && time.Since(made) > lifetime+time.Second {
			http.Error(w, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", http.StatusForbidden)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Real players play and seek every kind of link, and those that never expire after the link behind them has.
func TestRealPlayers(t *testing.T) {
	if !*realPlayers {
		t.Skip("needs mpv, ffmpeg and chromium: run it by hand, with -players")
	}
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	m := newMachine(t, stored(server, forgetful(t, server.Endpoint), server.Bucket(t))...)
	path := codestory.StoryAudioPath(story)
	m.write(path, nil)
	file := filepath.Join(m.dir, filepath.FromSlash(string(path)))
	run(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=120", "-b:a", "128k", "-y", file)
	m.start()
	m.awaitSynced(1)
	link := func() (l codestory.Link) {
		if code := m.get("/api/storage/stories/"+string(story)+"/audio", &l); code != http.StatusOK {
			t.Fatalf("audio: %d", code)
		}
		return l
	}
	player := *link().PlayURL
	try := func(kind, url string, patience time.Duration) {
		t.Run(kind, func(t *testing.T) {
			if got := run(t, "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", url); !strings.HasPrefix(got, "120") {
				t.Errorf("ffprobe finds a duration of %q", got)
			}
			run(t, "ffmpeg", "-v", "error", "-xerror", "-ss", "100", "-i", url, "-t", "5", "-f", "null", "-")
			mpvSeeks(t, url, patience)
			if kind != "redirected" { // a browser stays where it was redirected to
				chromiumSeeks(t, url, patience)
			}
		})
	}
	try("local", player, 2*lifetime)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	try("proxied", player+"&proxy=1", 2*lifetime)
	try("redirected", player, 2*lifetime)
	t.Run("presigned", func(t *testing.T) {
		run(t, "ffmpeg", "-v", "error", "-xerror", "-ss", "100", "-i", link().URL, "-t", "5", "-f", "null", "-")
		chromiumSeeks(t, link().URL, 0)
	})
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// mpvSeeks plays with a small cache, waits, and seeks to and fro.
func mpvSeeks(t *testing.T, target string, patience time.Duration) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "mpv")
	mpv := exec.CommandContext(t.Context(), "mpv", "--no-config", "--no-terminal", "--ao=null", "--no-video", "--cache=no",
		"--demuxer-max-bytes=256KiB", "--input-ipc-server="+socket, target)
	if err := mpv.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = mpv.Process.Kill()
		_ = mpv.Wait()
	}()
	var conn net.Conn
	poll(t, "mpv's socket", func() bool {
		var err error
		conn, err = net.Dial("unix", socket)
		return err == nil
	})
	defer conn.Close()
	answers := bufio.NewScanner(conn)
	ask := func(command ...any) (answer struct{ Data float64 }) {
		b, err := json.Marshal(map[string]any{"command": command})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(append(b, '\n'))
		for answers.Scan() && !strings.Contains(answers.Text(), `"error"`) {
		}
		_ = json.Unmarshal(answers.Bytes(), &answer)
		return answer
	}
	at := func() float64 { return ask("get_property", "time-pos").Data }
	poll(t, "mpv to play", func() bool { return at() > 0.3 })
	<-time.After(patience)
	for _, second := range []float64{100, 20} {
		ask("seek", second, "absolute")
		poll(t, fmt.Sprintf("mpv to go on at %v", second), func() bool { return at() > second+0.5 && at() < second+20 })
	}
}

// chromiumSeeks lets a page play, wait, and seek to and fro.
func chromiumSeeks(t *testing.T, target string, patience time.Duration) {
	t.Helper()
	report := make(chan string, 1)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			b, _ := io.ReadAll(r.Body)
			report <- string(b)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<audio id=a></audio><script>
const until = async f => { for (let i = 0; i < 200 && !f(); i++) await new Promise(r => setTimeout(r, 50)); return f() };
(async () => {
	const a = document.getElementById('a'), log = [];
	a.src = %q;
	await a.play().catch(e => log.push(e));
	log.push(await until(() => a.currentTime > 0.3));
	await new Promise(r => setTimeout(r, %d));
	for (const t of [100, 20]) { a.currentTime = t; log.push(await until(() => !a.seeking && a.currentTime > t + 0.3)) }
	fetch('/', {method: 'POST', body: log.join() + (a.error ? a.error.message : '')});
})()</script>`, target, patience.Milliseconds())
	}))
	defer page.Close()
	chromium := exec.CommandContext(t.Context(), "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio",
		"--autoplay-policy=no-user-gesture-required", "--user-data-dir="+t.TempDir(), page.URL)
	if err := chromium.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = chromium.Process.Kill()
		_ = chromium.Wait()
	}()
	select {
	case got := <-report:
		if got != "true,true,true" {
			t.Errorf("chromium played, and sought to and fro: %s", got)
		}
	case <-time.After(time.Minute):
		t.Error("chromium did not come to an end")
	}
}

// poll waits for a condition.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}
