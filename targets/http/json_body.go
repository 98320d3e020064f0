package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"
)

// parser is a decoder whose buffer is reused from body to body.
type parser struct {
	from bytes.Reader
	*json.Decoder
}

var parsers = sync.Pool{New: func() any {
	p := &parser{}
	p.Decoder = json.NewDecoder(&p.from)
	p.UseNumber()
	return p
}}

// mostKept is the longest body whose buffer is kept.
const mostKept = 64 << 10

// utf8Mark is the byte order mark that some write before a document.
var utf8Mark = []byte("\xef\xbb\xbf")

// parseJSON reads a body that is one document.
func parseJSON(body []byte) (doc any, err error) {
	body = bytes.TrimRight(bytes.TrimPrefix(body, utf8Mark), " \t\r\n")
	p := parsers.Get().(*parser)
	p.from.Reset(body)
	begin := p.InputOffset()
	if err := p.Decode(&doc); err != nil {
		return nil, err // the decoder, which is in the middle of a document, is not reused
	}
	if p.InputOffset()-begin != int64(len(body)) {
		return nil, errors.New("something follows the document") // likewise
	}
	p.from.Reset(nil)
	if len(body) <= mostKept {
		parsers.Put(p)
	}
	return doc, nil
}
