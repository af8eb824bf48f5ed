package api_test

import (
	"strings"
	"testing"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.request("GET", storyURL(aliceStory, "/audio"), aliceToken)
	w.request("GET", storyURL(noStory, "/audio"), aliceToken)
	w.request("GET", "/no/such/route", "")
	resp := w.request("GET", "/metrics", ownerToken)
	wantStatus(t, resp, 200)
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("content type %q", got)
	}
	text := body(t, resp)
	for _, want := range []string{
		`codestoryd_build_info{goversion="go`, `version="1.2.3"} 1`,
		`codestoryd_http_requests_total{code="200",method="GET",route="/api/storage/stories/:id/audio"} 1`,
		`codestoryd_http_requests_total{code="404",method="GET",route="/api/storage/stories/:id/audio"} 1`,
		`codestoryd_http_requests_total{code="404",method="any",route="none"} 1`,
		"codestoryd_uploads_total 5", "codestoryd_sent_bytes_total 700", `codestoryd_upload_failures_total{class="retry"} 2`,
		"codestoryd_watch_scan_seconds 0.5", `codestoryd_queue_files{state="queued"} 0`,
		`codestoryd_remote_state{state="ok"} 1`, `codestoryd_remote_state{state="full"} 0`, "process_start_time_seconds",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	for _, secret := range []string{aliceToken, ownerToken, string(aliceStory), string(noStory)} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is told", secret)
		}
	}
	wantProblem(t, w.request("GET", "/metrics", ""), 401, "unauthorized")
	wantProblem(t, w.request("GET", "/metrics", aliceToken), 403, "scope_insufficient")
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	resp := w.request("GET", "/api/openapi.json", aliceToken)
	wantStatus(t, resp, 200)
	description := decode[struct {
		OpenAPI string
		Info    struct{ Version string }
		Paths   map[string]any
	}](t, resp)
	if description.OpenAPI != "3.1.0" || description.Info.Version != "1.2.3" || description.Paths["/api/events"] == nil {
		t.Errorf("described: %+v", description)
	}
	wantProblem(t, w.request("GET", "/api/openapi.json", ""), 401, "unauthorized")
}
