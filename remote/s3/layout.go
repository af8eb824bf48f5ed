package s3

// What S3 sets for uploads in parts. Sizes are in bytes.
const (
	maxObject = 5 << 40
	maxParts  = 10_000
)

const (
	// partsAbove is the size above which a file goes up in parts: a smaller one is quickly sent again.
	partsAbove = 100 << 20
	// minPart is what a part has unless there would be more than maxParts of them. It is the most that a worker has to
	// send again after a crash, and large enough that the requests themselves do not count.
	minPart = 16 << 20
	// partsAtOnce are on their way at the same time.
	partsAtOnce = 4
	// readAheadUpTo is the size up to which a file is read once ahead, for the MD5 that travels with the first request.
	readAheadUpTo = 1 << 30
)

// sizes are the limits in force for one store; a 0 stands for the constant of that name.
type sizes struct{ partsAbove, minPart, readAheadUpTo int64 }

func (s sizes) withDefaults() sizes {
	if s.partsAbove == 0 {
		s.partsAbove = partsAbove
	}
	if s.minPart == 0 {
		s.minPart = minPart
	}
	if s.readAheadUpTo == 0 {
		s.readAheadUpTo = readAheadUpTo
	}
	return s
}

// layout is how an object of so many bytes is cut: into parts of partSize, the last of which may be shorter. Parts are
// numbered from 1.
type layout struct {
	Size     int64 `json:"size"`
	PartSize int64 `json:"part_size"`
}

// newLayout cuts size bytes, at least 1 and at most maxObject, into parts of minPart or of as many whole MiB as it
// takes for maxParts to hold them.
func newLayout(size, minPart int64) layout {
	const mib = 1 << 20
	if size <= minPart*maxParts {
		return layout{size, minPart}
	}
	return layout{size, (size + maxParts*mib - 1) / (maxParts * mib) * mib}
}

func (l layout) parts() int { return int((l.Size + l.PartSize - 1) / l.PartSize) }

// part is where a part begins, and its length.
func (l layout) part(number int) (offset, length int64) {
	offset = int64(number-1) * l.PartSize
	return offset, min(l.PartSize, l.Size-offset)
}
