package queueredis

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/wikifarm/jobqueue"
)

// Flags in a body. The scripts know the first two.
const (
	hasDigest = 1 << iota
	hasRoot
	isCompressed
)

// headSize is what scripts put in front of a body: 4 bytes with the number of the queue and 8 with the time of the push.
const headSize = 12

var errBody = errors.New("stored job is damaged")

// bodies returns what is stored of records for good. They share their memory.
func (b *Backend) bodies(records []jobqueue.Record) []string {
	size := 0
	for i := range records {
		size += 48 + len(records[i].Params)
	}
	buf, ends := make([]byte, 0, size), make([]int, len(records))
	for i := range records {
		buf = b.appendBody(buf, &records[i])
		ends[i] = len(buf)
	}
	return cutAt(string(buf), ends)
}

// appendBody appends flags, digest, tries, headers and parameters.
func (b *Backend) appendBody(buf []byte, r *jobqueue.Record) []byte {
	var flags byte
	if r.Digest != (jobqueue.Digest{}) {
		flags |= hasDigest
	}
	if r.Root.Key != "" {
		flags |= hasRoot
	}
	params := []byte(r.Params)
	if b.compress > 0 && len(params) >= b.compress {
		if packed := encoder().EncodeAll(params, nil); len(packed) < len(params) {
			params = packed
			flags |= isCompressed
		}
	}
	buf = append(buf, flags)
	if flags&hasDigest != 0 {
		buf = append(buf, r.Digest[:]...)
	}
	buf = binary.AppendUvarint(buf, uint64(r.MaxTries))
	buf = binary.AppendUvarint(buf, uint64(len(r.Headers)))
	if len(r.Headers) > 0 {
		for _, k := range slices.Sorted(maps.Keys(r.Headers)) {
			buf = appendText(appendText(buf, k), r.Headers[k])
		}
	}
	return append(buf, params...)
}

func appendText(buf []byte, s string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
}

// readBody fills in what body stored, and returns when the job was pushed.
func readBody(s string, r *jobqueue.Record) (queued int64, err error) {
	if len(s) <= headSize {
		return 0, errBody
	}
	queued = int64(binary.BigEndian.Uint64([]byte(s[4:headSize])))
	flags := s[headSize]
	in := reader{rest: s[headSize+1:]}
	if flags&hasDigest != 0 {
		copy(r.Digest[:], in.take(uint64(len(r.Digest))))
	}
	r.MaxTries = int(in.uvarint())
	if n := in.uvarint(); n > 0 && n < uint64(len(s)) {
		r.Headers = make(map[string]string, n)
		for range n {
			k := in.take(in.uvarint())
			r.Headers[k] = in.take(in.uvarint())
		}
	}
	if in.bad {
		return queued, errBody
	}
	r.Params = json.RawMessage(in.rest)
	if flags&isCompressed != 0 {
		if r.Params, err = decoder().DecodeAll(r.Params, nil); err != nil {
			return queued, fmt.Errorf("%w: %w", errBody, err)
		}
	}
	return queued, nil
}

// A reader reads what appendText wrote.
type reader struct {
	rest string
	bad  bool
}

func (in *reader) uvarint() (n uint64) {
	var shift uint
	for i := range len(in.rest) {
		c := in.rest[i]
		n |= uint64(c&0x7f) << shift
		if shift += 7; c < 0x80 {
			in.rest = in.rest[i+1:]
			return n
		}
		if shift > 63 {
			break
		}
	}
	in.bad = true
	return 0
}

func (in *reader) take(n uint64) string {
	if n > uint64(len(in.rest)) {
		in.bad = true
		return ""
	}
	s := in.rest[:n]
	in.rest = in.rest[n:]
	return s
}

// readHistory returns failures, expiries and the last error.
func readHistory(e string) (failures, expiries int, lastError string) {
	f, rest, _ := strings.Cut(e, " ")
	x, lastError, _ := strings.Cut(rest, " ")
	failures, _ = strconv.Atoi(f)
	expiries, _ = strconv.Atoi(x)
	return failures, expiries, lastError
}

// readRoot is the inverse of what scripts store of a root.
func readRoot(s string) jobqueue.Root {
	if len(s) < 18 {
		return jobqueue.Root{}
	}
	return jobqueue.Root{Key: s[18:], Time: parseStamp(s)}
}

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err)
	}
	return e
})

// mostParams is how large compressed parameters may become.
const mostParams = 1 << 30

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(mostParams))
	if err != nil {
		panic(err)
	}
	return d
})
