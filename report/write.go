package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cachedrill/cachedrill/report/measure"
)

// JSON writes the report in its versioned form, see [Schema].
func JSON(w io.Writer, r Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("writing the report as JSON: %w", err)
	}
	return nil
}

// WriteDir writes report.json, junit.xml, summary.md and latency.hlog into dir, which is created.
// Each file is there as a whole or not at all: a reader never sees half of one, and an older one
// stays when the writing fails.
func WriteDir(dir string, r Report, drills ...measure.Intervals) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("creating the report's directory: %w", err)
	}
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"report.json", func(w io.Writer) error { return JSON(w, r) }},
		{"junit.xml", func(w io.Writer) error { return JUnit(w, r) }},
		{"summary.md", func(w io.Writer) error { return Markdown(w, r) }},
		{"latency.hlog", func(w io.Writer) error { return WriteLatencyLog(w, drills) }},
	} {
		if err := writeAtomically(filepath.Join(dir, f.name), f.write); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
	}
	return nil
}

// writeAtomically writes beside the file and renames: within one directory that is atomic.
func writeAtomically(path string, write func(io.Writer) error) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	if err = write(tmp); err != nil {
		return errors.Join(err, tmp.Close())
	}
	// CreateTemp makes files for their owner only; a report is for all who may read the directory.
	if err = tmp.Chmod(0o644); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
