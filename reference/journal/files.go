package journal

import (
	"errors"
	"os"
	"path/filepath"
)

// Files is a folder as a journal needs it. [Folder] is one of the file system; tests have one that
// crashes.
type Files interface {
	// List names what is there.
	List() ([]string, error)
	// Read gives a file's bytes.
	Read(name string) ([]byte, error)
	// Create makes a file that is not there yet, and makes its name durable.
	Create(name string) (File, error)
	// Remove forgets a file, and makes that durable.
	Remove(name string) error
}

// File is written from its beginning to its end.
type File interface {
	Write(p []byte) (int, error)
	// Sync returns once everything that was written is durable.
	Sync() error
	Close() error
}

// Folder is a folder of the file system, by its path. It is made when it is not there.
type Folder string

// List implements [Files].
func (d Folder) List() ([]string, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// Read implements [Files].
func (d Folder) Read(name string) ([]byte, error) { return os.ReadFile(filepath.Join(string(d), name)) }

// Create implements [Files].
func (d Folder) Create(name string) (File, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := d.sync(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Remove implements [Files].
func (d Folder) Remove(name string) error {
	if err := os.Remove(filepath.Join(string(d), name)); err != nil {
		return err
	}
	return d.sync()
}

// sync makes the folder's list of names durable.
func (d Folder) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
