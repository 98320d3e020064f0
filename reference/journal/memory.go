package journal

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Memory is a folder within the process, for tests in virtual time. It outlives the process that
// writes to it, as the page cache of a machine outlives a process that is killed. Make it with
// [NewMemory].
type Memory struct {
	mu    sync.Mutex
	files map[string]*memoryFile
}

// NewMemory makes an empty folder.
func NewMemory() *Memory { return &Memory{files: map[string]*memoryFile{}} }

type memoryFile struct {
	of   *Memory
	data []byte
}

// List implements [Files].
func (m *Memory) List() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.files)), nil
}

// Read implements [Files].
func (m *Memory) Read(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[name]
	if !ok {
		return nil, fmt.Errorf("no file %s", name)
	}
	return slices.Clone(f.data), nil
}

// Create implements [Files].
func (m *Memory) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] != nil {
		return nil, fmt.Errorf("%s is there already", name)
	}
	f := &memoryFile{of: m}
	m.files[name] = f
	return f, nil
}

// Remove implements [Files].
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

func (f *memoryFile) Write(p []byte) (int, error) {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.data = append(f.data, p...)
	return len(p), nil
}

func (f *memoryFile) Sync() error  { return nil }
func (f *memoryFile) Close() error { return nil }
