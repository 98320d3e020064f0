package origin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"
)

// shownBody is up to how many bytes a commit shows the body itself.
const shownBody = 256

// object is a version of what a path names. Its body is never changed.
type object struct {
	body    []byte
	kind    string // its content type
	version uint64 // from 1; 0: the path never had one
	deleted bool
	at      time.Time // of the wall, for Last-Modified
}

func (o object) size(path string) int64 { return int64(len(path) + len(o.kind) + len(o.body)) }

// shelf holds the newest version of each object.
type shelf struct {
	commits     *ring[Commit]
	mostObjects int
	mostBytes   int64
	mu          sync.RWMutex // the commit lock
	objects     map[string]object
	bytes       int64
}

// fullError says that there is no room.
type fullError struct{ msg string }

func (e *fullError) Error() string { return e.msg }

func (s *shelf) get(path string) object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.objects[path]
}

func (s *shelf) size() (objects int, bytes int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.objects), s.bytes
}

// commit makes obj the path's next version, and tells those who follow. Its error is a [fullError],
// and had no effect.
func (s *shelf) commit(path string, obj object) (object, error) {
	c := Commit{Path: path, Deleted: obj.deleted}
	if !obj.deleted {
		c.describe(obj.body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, there := s.objects[path]
	grown := obj.size(path)
	if there {
		grown -= old.size(path)
	}
	switch {
	case !there && len(s.objects) >= s.mostObjects:
		return old, &fullError{fmt.Sprintf("there are %d objects already (absences count: their versions go on), and no more may be (--max-objects)", len(s.objects))}
	case grown > 0 && s.bytes+grown > s.mostBytes:
		return old, &fullError{fmt.Sprintf("%d bytes are taken, and %d more are too many (--max-bytes)", s.bytes, grown)}
	}
	obj.version, obj.at = old.version+1, time.Now()
	s.bytes += grown
	s.objects[path] = obj
	s.commits.add(func(n uint64, now int64) Commit {
		c.N, c.Version, c.At = n, obj.version, now
		return c
	})
	return obj, nil
}

// describe shows a body: a short text itself, anything else by its hash.
func (c *Commit) describe(body []byte) {
	c.Size = len(body)
	if len(body) <= shownBody && utf8.Valid(body) {
		text := string(body)
		c.Body = &text
		return
	}
	sum := sha256.Sum256(body)
	c.SHA256 = hex.EncodeToString(sum[:])
}
