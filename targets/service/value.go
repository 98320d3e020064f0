package service

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"

	"github.com/cachedrill/cachedrill/reference/key"
	"github.com/cachedrill/cachedrill/targets"
)

// Value is what the source stores and the caches carry, as JSON: whose it is, which write made it,
// and the text that a reader came for, which may well be empty.
type Value struct {
	Owner key.Name `json:"owner"`
	Token string   `json:"token"`
	Text  string   `json:"text"`
}

// someText is the text of values that have one.
const someText = "in stock"

// encodeValue makes the value of a write. Of a family's names the share Empty have an empty text,
// always the same ones.
func (s Spec) encodeValue(n key.Name, token string) ([]byte, error) {
	v := Value{Owner: n, Token: token, Text: someText}
	if f, ok := s.Family(n.Family); ok && f.Empty > 0 && fraction(n) < f.Empty {
		v.Text = ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding the value of %s:%s: %w", n.Family, n.ID, err)
	}
	return b, nil
}

func decodeValue(b []byte) (token string, owner targets.Key, err error) {
	var v Value
	if err := json.Unmarshal(b, &v); err != nil {
		return "", owner, err
	}
	return v.Token, targets.Key(v.Owner), nil
}

// fraction places a name in [0, 1) by a hash of it.
func fraction(n key.Name) float64 {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s|%s|%s|%s|%s", n.ID, n.Tenant, n.Locale, n.Currency, n.Variant)
	return float64(h.Sum32()) / (math.MaxUint32 + 1)
}
