package strictyaml

import (
	"fmt"

	"github.com/goccy/go-yaml"
)

// Walk gives every scalar of a document with the names that lead to it; none of one that is no
// YAML.
func Walk(src []byte, each func(path []string, text string)) {
	var document any
	if yaml.Unmarshal(src, &document) == nil {
		walk(document, nil, each)
	}
}

func walk(v any, path []string, each func([]string, string)) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			walk(inner, append(path[:len(path):len(path)], name), each)
		}
	case []any:
		for _, inner := range v {
			walk(inner, path, each)
		}
	case nil:
	default:
		each(path, fmt.Sprint(v))
	}
}
