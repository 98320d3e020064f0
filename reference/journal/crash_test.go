package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
)

// crashFiles is a folder on a disk that may crash: what was not fsynced is then gone, in part or in
// whole, torn anywhere, with holes. What was fsynced is kept. It can refuse writes and fsyncs, too.
type crashFiles struct {
	mu       sync.Mutex
	rng      *rand.Rand
	files    map[string]*crashFile
	crashes  int
	failSync error // of all fsyncs from now on
	tornAt   int   // the write after so many bytes is cut there; 0: none
}

type crashFile struct {
	disk     *crashFiles
	crashes  int // of the disk, when the file was opened: after a crash, handles are dead
	data     []byte
	durable  int
	closed   bool
	syncs    int
	mayBlock chan struct{} // when set, an fsync waits for it
}

var errCrashed = errors.New("the machine has crashed")

func newCrashFiles(seed uint64) *crashFiles {
	return &crashFiles{rng: rand.New(rand.NewPCG(seed, 1)), files: map[string]*crashFile{}}
}

func (d *crashFiles) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for n := range d.files {
		names = append(names, n)
	}
	return names, nil
}

func (d *crashFiles) Read(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[name]
	if !ok {
		return nil, fmt.Errorf("no file %s", name)
	}
	return append([]byte(nil), f.data...), nil
}

func (d *crashFiles) Create(name string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] != nil {
		return nil, fmt.Errorf("%s is there already", name)
	}
	f := &crashFile{disk: d, crashes: d.crashes}
	d.files[name] = f
	return f, nil
}

func (d *crashFiles) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
	return nil
}

// crash loses what was not durable: cut anywhere, and what is left of it with bytes that never
// arrived.
func (d *crashFiles) crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashes++
	d.failSync, d.tornAt = nil, 0
	for _, f := range d.files {
		loose := len(f.data) - f.durable
		f.data = f.data[:f.durable+d.rng.IntN(loose+1)]
		if kept := len(f.data) - f.durable; kept > 0 && d.rng.IntN(2) == 0 { // one hole; what is behind it may be whole
			hole := f.durable + d.rng.IntN(kept)
			clear(f.data[hole:min(len(f.data), hole+1+d.rng.IntN(16))])
		}
		f.durable = len(f.data)
	}
}

func (f *crashFile) Write(p []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.crashes != f.disk.crashes {
		return 0, errCrashed
	}
	if at := f.disk.tornAt; at > 0 && len(p) > at {
		f.data = append(f.data, p[:at]...)
		return at, errors.New("no space left")
	}
	f.data = append(f.data, p...)
	return len(p), nil
}

func (f *crashFile) Sync() error {
	f.disk.mu.Lock()
	size, wait := len(f.data), f.mayBlock
	f.disk.mu.Unlock()
	if wait != nil {
		<-wait
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.crashes != f.disk.crashes {
		return errCrashed
	}
	if f.disk.failSync != nil {
		return f.disk.failSync
	}
	f.durable = max(f.durable, size) // what was written before it was called, and nothing else
	f.syncs++
	return nil
}

func (f *crashFile) Close() error { f.closed = true; return nil }
