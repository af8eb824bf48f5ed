package s3

import (
	"sync"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/codestory/codestoryd/remote"
)

// maxRecent bounds the links that are remembered.
const maxRecent = 1024

// recent remembers the links of one second. Presigned URLs count in seconds, so that whoever asks again within one gets
// the same URL to the letter, and a crowd that plays one story costs one signature.
type recent struct {
	mu     sync.Mutex
	second int64 // since 1970
	links  map[recentKey]remote.Link
}

type recentKey struct {
	remote.LinkRequest
	signer credentials.Value
}

// get is the link that was made for the same in this second.
func (r *recent) get(key recentKey) (remote.Link, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Unix() != r.second {
		return remote.Link{}, false
	}
	link, ok := r.links[key]
	return link, ok
}

// put remembers a link that was signed at that time.
func (r *recent) put(key recentKey, link remote.Link, made time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if made.Unix() < r.second {
		return
	}
	if made.Unix() > r.second || len(r.links) >= maxRecent {
		r.second, r.links = made.Unix(), map[recentKey]remote.Link{}
	}
	r.links[key] = link
}
