package scenarios

import (
	"errors"
	"os"
	"testing"
)

// Whatever stands in a file: it is a suite, or every problem has a place; never a panic.
func FuzzParse(f *testing.F) {
	for _, file := range []string{"../scenarios.yaml", "testdata/bad.yaml"} {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte("version: 1\nscenarios: {a: }"))
	f.Add([]byte("a: &x [*x]"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := Parse("f", src)
		if err == nil {
			if len(s.Scenarios) == 0 {
				t.Fatal("a suite without scenarios is no suite")
			}
			return
		}
		var bad *Error
		if !errors.As(err, &bad) || len(bad.Problems) == 0 {
			t.Fatalf("no problems listed: %v", err)
		}
		for _, p := range bad.Problems {
			if p.Line < 1 || p.Column < 1 || p.Msg == "" {
				t.Fatalf("a problem without a place or a text: %+v", p)
			}
		}
	})
}
