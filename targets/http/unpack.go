package http

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// unpacked undoes what Content-Encoding says of a body, the last coding first. What comes out is at
// most limit bytes long. Drills ask for no coding, but some services use one all the same.
func unpacked(codings []string, body []byte, limit int64) ([]byte, error) {
	all := strings.Split(strings.ToLower(strings.Join(codings, ",")), ",")
	for i := len(all) - 1; i >= 0 && len(body) > 0; i-- {
		coding := strings.TrimSpace(all[i])
		if coding == "" || coding == "identity" {
			continue
		}
		r, err := unpack(coding, body)
		if err != nil {
			return nil, &GarbledError{Why: fmt.Sprintf("Content-Encoding %s: %v", coding, err)}
		}
		out, err := io.ReadAll(io.LimitReader(r, limit+1))
		r.Close()
		switch {
		case err != nil:
			return nil, &GarbledError{Why: fmt.Sprintf("Content-Encoding %s: %v", coding, err)}
		case int64(len(out)) > limit:
			return nil, &GarbledError{Why: fmt.Sprintf("unpacked, it is longer than %d bytes (max_body)", limit)}
		}
		body = out
	}
	return body, nil
}

// unpack opens a body in a coding of HTTP.
func unpack(coding string, body []byte) (io.ReadCloser, error) {
	from := bytes.NewReader(body)
	switch coding {
	case "gzip", "x-gzip":
		return gzip.NewReader(from)
	case "deflate":
		if r, err := zlib.NewReader(from); err == nil {
			return r, nil
		}
		return flate.NewReader(bytes.NewReader(body)), nil // as some send it, without the frame of zlib
	case "zstd":
		r, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return nil, err
		}
		return r.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("a drill can undo gzip, deflate and zstd: let the service answer what is asked without Accept-Encoding as it is")
}
