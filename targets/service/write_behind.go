package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cachedrill/cachedrill/reference"
	"github.com/cachedrill/cachedrill/reference/journal"
	"github.com/cachedrill/cachedrill/reference/policy"
	"github.com/cachedrill/cachedrill/reference/writebehind"
)

// writeBehind owns the writes of the families that are written behind. The zero value owns none.
type writeBehind struct {
	owner  *writebehind.Writer // nil: no family is written behind
	folder string              // of its journal, removed at the end; empty when that is in memory
}

// open starts the owner when one of the families is written behind. The journal is in memory, or in
// a temporary folder when onDisk.
func (w *writeBehind) open(ctx context.Context, families []reference.Family, onDisk bool, cfg writebehind.Config) error {
	if !slices.ContainsFunc(families, func(f reference.Family) bool { return f.Contract.Writes == policy.WriteBehind }) {
		return nil
	}
	cfg.Realm, cfg.Files = "drill", journal.NewMemory()
	var err error
	if onDisk {
		if w.folder, err = os.MkdirTemp("", "cachedrill-journal-"); err != nil {
			return fmt.Errorf("making the folder of the journal: %w", err)
		}
		cfg.Files = journal.Folder(w.folder)
	}
	w.owner, err = writebehind.Open(ctx, cfg)
	return err
}

// writer takes the workers' writes of those families; a nil interface when there are none.
func (w *writeBehind) writer() reference.Writer {
	if w.owner == nil {
		return nil
	}
	return w.owner
}

// drained waits until every acknowledged write is at the source.
func (w *writeBehind) drained(ctx context.Context) error {
	if w.owner == nil {
		return nil
	}
	return w.owner.Drained(ctx)
}

func (w *writeBehind) close() error {
	var errs []error
	if w.owner != nil {
		errs = append(errs, w.owner.Close())
	}
	if w.folder != "" {
		errs = append(errs, os.RemoveAll(w.folder))
	}
	return errors.Join(errs...)
}
