package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/cachedrill/cachedrill/drill/environment"
	"github.com/cachedrill/cachedrill/drill/preflight"
	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/scenarios"
)

func checkCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "check",
		Short: "Talk to your service once, and say what drills of it can and cannot see",
		Long: `Has a short conversation with the service that the suite describes: one write, one read, one key that does
not exist, one read again, and what else the suite says that it offers. It then says what a drill can see of
it and what not, and which faults are possible in this environment. Nothing is broken.

Exit codes: 0 drills can tell something, 1 something must be mended first, 2 usage or configuration.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return check(c, f) },
	}
	fileFlag(c, &f.file)
	c.Flags().StringVar(&f.policy, "policy", "", "start the service with this policy of the suite (default: the one that a run takes)")
	c.Flags().StringVar(&f.out, "out", "", "keep the service's log in this directory")
	return c
}

func check(c *cobra.Command, f runFlags) error {
	suite, _, err := loadSuite(f.file)
	if err != nil {
		return err
	}
	if _, isHTTP := suite.Target.(*scenarios.HTTPTarget); !isHTTP {
		return exit{exitUsage, fmt.Errorf("%s drills the service that comes with cachedrill, and there is nothing to check; a service of yours is described by cachedrill init --target http", suite.File)}
	}
	policy, err := suite.Choose(f.policy)
	if err != nil {
		return exit{exitUsage, err}
	}
	opt := environment.Options{Policy: policy, Env: suite.Env[policy.Name], Out: f.out}
	if err := checkOut(f.out); err != nil {
		return err
	}
	asker := &statistics{}
	defer asker.close(context.WithoutCancel(c.Context()))
	opt.Statistics = asker.ask
	found, err := preflight.Check(c.Context(), suite.Everything(), opt)
	if c.Context().Err() != nil {
		return interrupted(err)
	}
	if err != nil {
		return exit{exitFail, fmt.Errorf("the service can't be talked to: %w", err)}
	}
	fatal := printFindings(secret.Writer(c.OutOrStdout()), found)
	if fatal > 0 {
		return exit{exitFail, fmt.Errorf("%d of these must be mended before a drill can tell anything", fatal)}
	}
	next := "cachedrill run"
	if f.file != "" {
		next += " -f " + quoted(f.file)
	}
	if policy.Name != suite.DefaultPolicy() {
		next += " --policy " + policy.Name
	}
	fmt.Fprintf(c.OutOrStdout(), "\nnext: %s\n", next)
	return nil
}

func printFindings(w io.Writer, found []preflight.Finding) (fatal int) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range found {
		mark := "ok"
		switch {
		case f.Fatal:
			mark = "WRONG"
			fatal++
		case !f.OK:
			mark = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", mark, f.Topic, strings.ReplaceAll(f.Text, "\n", " "))
		if f.Fix != "" {
			fmt.Fprintf(t, "\t\t  %s\n", f.Fix)
		}
	}
	_ = t.Flush() // of a terminal that is gone
	return fatal
}
