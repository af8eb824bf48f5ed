package audio

import "github.com/codestory/codestoryd"

const (
	adtsHeader  = 7
	adtsSamples = 1024 // in a block
	provenADTS  = 3    // frames that prove that it is AAC
)

var adtsRates = [16]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// adtsFrame is a frame of AAC (ISO/IEC 14496-3, section 1.A.2).
type adtsFrame struct{ rate, samples, size int }

func parseADTS(b []byte) (f adtsFrame, ok bool) {
	if len(b) < adtsHeader || b[0] != 0xff || b[1]&0xf6 != 0xf0 {
		return adtsFrame{}, false
	}
	f = adtsFrame{
		rate:    adtsRates[b[2]>>2&15],
		samples: adtsSamples * (int(b[6]&3) + 1),
		size:    int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5,
	}
	return f, f.rate > 0 && f.size >= adtsHeader
}

// isADTS reports whether frames of AAC follow one another there.
func isADTS(w *window, at int64) bool {
	first, ok := parseADTS(w.at(at, adtsHeader))
	for n := 1; ok && n < provenADTS; n++ {
		var f adtsFrame
		f, ok = parseADTS(w.at(at, adtsHeader))
		ok = ok && f.rate == first.rate
		at += int64(f.size)
	}
	_, last := parseADTS(w.at(at, adtsHeader))
	return ok && last
}

// readADTS goes from frame to frame.
func readADTS(w *window, at int64, facts *codestory.Audio) {
	begin, limit, seconds := at, min(w.size, at+maxScan), 0.0
	for at < limit {
		f, ok := parseADTS(w.at(at, adtsHeader))
		if !ok {
			break
		}
		if at+int64(f.size) > w.size {
			addFault(facts, truncated("its last frame is cut off"))
			break
		}
		seconds += float64(f.samples) / float64(f.rate)
		at += int64(f.size)
	}
	if at >= limit && at > begin {
		seconds *= float64(w.size-begin) / float64(at-begin)
	}
	plays(facts, seconds)
}
