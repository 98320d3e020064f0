package oracle

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cachedrill/cachedrill/targets"
)

// mixups finds out whose value a token is: the key that it was written for, among all keys that the judge was told
// of. A token names its key only by a hash, so the answer is built from the keys at the first mix-up.
type mixups struct {
	built  sync.Once
	wanted atomic.Bool // new keys are to be added

	mu   sync.Mutex
	keys map[string][]targets.Key // by the hash part of their tokens
}

// noticed adds a key that the judge was told of, if anybody wants to know.
func (m *mixups) noticed(key targets.Key) {
	if !m.wanted.Load() {
		return
	}
	h := keyHash(targets.NewToken("x", 0, key))
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.keys[h] {
		if k == key {
			return
		}
	}
	m.keys[h] = append(m.keys[h], key)
}

// owner gives the key that the token was written for, one of the asked key's family if there is a choice. No shard may
// be locked.
func (m *mixups) owner(j *Judge, asked targets.Key, token string) (owner targets.Key, ok bool) {
	m.built.Do(func() {
		m.mu.Lock()
		m.keys = map[string][]targets.Key{}
		m.mu.Unlock()
		m.wanted.Store(true)
		var all []targets.Key
		j.each(func(_ *shard, k *keyState) { all = append(all, k.key) })
		for _, k := range all {
			m.noticed(k)
		}
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.keys[keyHash(token)] {
		if k != asked && (!ok || k.Family == asked.Family) {
			owner, ok = k, true
		}
	}
	return owner, ok
}

// keyHash is the part of a token, run.seq.keyhash.crc, that depends on the key alone.
func keyHash(token string) string {
	body := token[:max(0, strings.LastIndexByte(token, '.'))]
	return body[strings.LastIndexByte(body, '.')+1:]
}
