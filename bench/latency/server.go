package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/notification"
)

const accessKey, secretKey = "latency-access", "latency-secret"

// server is a MinIO that tells of every object as soon as it is there.
type server struct {
	address string
	process *process
	client  *minio.Client
	hook    *http.Server

	mu   sync.Mutex
	size int64                // of a whole file: one that is smaller does not count
	seen map[string]time.Time // when it was first there, by the last element of the key
}

func startServer(ctx context.Context, binary, dir string, size int) (*server, error) {
	s := &server{size: int64(size), seen: make(map[string]time.Time)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.hook = &http.Server{Handler: http.HandlerFunc(s.heard), ReadHeaderTimeout: time.Minute}
	go func() { _ = s.hook.Serve(listener) }()
	if s.address, err = freeAddress(); err != nil {
		return nil, err
	}
	s.process, err = start(ctx, dir, []string{
		"MINIO_ROOT_USER=" + accessKey, "MINIO_ROOT_PASSWORD=" + secretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off",
		"MINIO_NOTIFY_WEBHOOK_ENABLE_LATENCY=on",
		"MINIO_NOTIFY_WEBHOOK_ENDPOINT_LATENCY=http://" + listener.Addr().String(),
	}, binary, "server", "--address", s.address, "--certs-dir", filepath.Join(dir, "certs"), filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	s.client, err = minio.New(s.address, &minio.Options{
		Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: "us-east-1",
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *server) stop() {
	s.process.stop()
	_ = s.hook.Close()
}

// makeBucket makes a bucket whose objects are told of, once the server answers.
func (s *server) makeBucket(ctx context.Context, name string) (err error) {
	for range 100 {
		if err = s.client.MakeBucket(ctx, name, minio.MakeBucketOptions{}); err == nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("making a bucket: %w", err)
	}
	created := notification.NewConfig(notification.NewArn("minio", "sqs", "", "LATENCY", "webhook"))
	created.AddEvents(notification.ObjectCreatedAll)
	var config notification.Configuration
	if !config.AddQueue(created) {
		return errors.New("the bucket's notifications contradict each other")
	}
	return s.client.SetBucketNotification(ctx, name, config)
}

// heard takes what the server tells.
func (s *server) heard(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	var event struct {
		Records []struct {
			S3 struct {
				Object struct {
					Key  string
					Size int64
				}
			}
		}
	}
	if r.Method == http.MethodPost && json.NewDecoder(r.Body).Decode(&event) != nil {
		http.Error(w, "no event", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, record := range event.Records {
		key, err := url.QueryUnescape(record.S3.Object.Key)
		if file := path.Base(key); err == nil && s.seen[file].IsZero() && record.S3.Object.Size == s.size {
			s.seen[file] = now
		}
	}
}

// visible says when the file was first there, since it was asked for last.
func (s *server) visible(file string) (at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok = s.seen[file]
	delete(s.seen, file)
	return at, ok
}

func (m *measurement) startCodestoryd(ctx context.Context, output, bucket string) (*process, error) {
	dir := filepath.Join(m.dir, "codestoryd")
	return start(ctx, dir, []string{
		"S3_BUCKET=" + bucket, "S3_ENDPOINT_URL=http://" + m.server.address,
		"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey,
	}, m.codestoryd, "run", "--dir", output, "--data-dir", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0")
}

func (m *measurement) startMC(ctx context.Context, output, bucket string) (*process, error) {
	dir := filepath.Join(m.dir, "mc")
	return start(ctx, dir, []string{
		"MC_HOST_server=http://" + url.UserPassword(accessKey, secretKey).String() + "@" + m.server.address,
	}, m.mc, "--config-dir", dir, "mirror", "--watch", "--overwrite", output, "server/"+bucket+"/stories")
}
