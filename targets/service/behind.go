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
)

// openBehind starts the owner of the families that are written behind, if there are any.
func (s *Service) openBehind(ctx context.Context) error {
	if !slices.ContainsFunc(s.families, func(f reference.Family) bool { return f.Contract.Writes == policy.WriteBehind }) {
		return nil
	}
	var files journal.Files = journal.NewMemory()
	if s.cfg.Inside == nil {
		var err error
		if s.journal, err = os.MkdirTemp("", "cachedrill-journal-"); err != nil {
			return fmt.Errorf("making the folder of the journal: %w", err)
		}
		files = journal.Folder(s.journal)
	}
	var err error
	s.behind, err = reference.OpenBehind(ctx, reference.BehindConfig{
		Realm: "drill", Files: files, Source: s.source, Region: s.regions[0].name, Policy: s.cfg.Policy.Policy,
	})
	return err
}

// writer takes the workers' writes of families that are written behind.
func (s *Service) writer() reference.Writer {
	if s.behind == nil {
		return nil // and no interface that holds nothing
	}
	return s.behind
}

func (s *Service) closeBehind() error {
	var errs []error
	if s.behind != nil {
		errs = append(errs, s.behind.Close())
	}
	if s.journal != "" {
		errs = append(errs, os.RemoveAll(s.journal))
	}
	return errors.Join(errs...)
}
