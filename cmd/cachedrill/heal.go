package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cachedrill/cachedrill/faults/undo"
	"github.com/cachedrill/cachedrill/internal/secret"
)

// stateDir is where drills keep their undo journal and audit log unless a flag says otherwise.
const stateDir = ".cachedrill"

func healCommand() *cobra.Command {
	dir := ""
	c := &cobra.Command{
		Use:   "heal",
		Short: "Undo what a drill that was killed left injected",
		Long: `heal reads the undo journal of drills (` + undo.JournalFile + `), undoes what was injected and never healed, the
latest first, verifies it, and says what it did, what had ended already, and what can't be undone. It
may be run again at any time: what is healed is not touched.

A Redis that wants a user and a password gets those of the environment variables that its URL in the suite
names, such as ${REDIS_PASSWORD}; else those in CACHEDRILL_REDIS_USER and REDISCLI_AUTH: journals hold none.

Exit codes: 0 nothing is left to undo, 1 something could not be undone, 2 the journal can't be used.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return heal(c.Context(), dir, c.OutOrStdout()) },
	}
	c.Flags().StringVar(&dir, "dir", stateDir, "the folder of the undo journal and the audit log")
	return c
}

func heal(ctx context.Context, dir string, out io.Writer) (err error) {
	path := filepath.Join(dir, undo.JournalFile)
	if _, err := os.Stat(path); os.IsNotExist(err) {
		fmt.Fprintf(out, "nothing to heal: there is no undo journal at %s\n", path)
		return nil
	}
	audit, err := undo.OpenAudit(filepath.Join(dir, undo.AuditFile))
	if err != nil {
		return exit{exitUsage, err}
	}
	out = secret.Writer(out)
	all, err := undo.Repair(ctx, path, os.Getenv("REDISCLI_AUTH"), audit)
	failed := 0
	for _, r := range all {
		fmt.Fprintf(out, "%s: %s of %s\n  %s\n", r.Outcome, r.Fault, r.Injected.Local().Format(time.DateTime), r.Detail)
		if r.Outcome == undo.Failed {
			failed++
		}
	}
	if closing := audit.Close(); err == nil {
		err = closing
	}
	switch {
	case err != nil:
		return exit{exitUsage, err}
	case failed > 0:
		return exit{exitFail, fmt.Errorf("%d of %d could not be undone: see to that, and run heal again", failed, len(all))}
	case len(all) == 0:
		fmt.Fprintln(out, "nothing to heal: everything that was injected has been healed")
	}
	return nil
}
