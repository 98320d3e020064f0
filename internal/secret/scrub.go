package secret

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
)

// Scrub redacts every text that a value leads to. v is a pointer to it.
func Scrub(v any) { scrub(reflect.ValueOf(v)) }

func scrub(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			scrub(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				scrub(v.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			scrub(v.Index(i))
		}
	case reflect.String:
		if clean := Redact(v.String()); v.CanSet() && clean != v.String() {
			v.SetString(clean)
		}
	}
}

// Writer redacts what is written, each write by itself.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ w io.Writer }

// Write implements [io.Writer].
func (w writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.w, Redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

const mostScrubbed = 64 << 20

// ScrubFile redacts a file in place, when it holds what must not be shown.
func ScrubFile(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && info.Size() > mostScrubbed {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	clean := []byte(Redact(string(text)))
	if bytes.Equal(clean, text) {
		return nil
	}
	return os.WriteFile(path, clean, info.Mode().Perm())
}
