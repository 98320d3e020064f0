package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cachedrill/cachedrill/reference/contract"
)

const contractFile = "cache-contract.yaml"

func contractCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "contract",
		Short: "Check a cache contract, or make the page that an on-call engineer reads",
		Long: `A cache contract says what a service caches, for how long, who answers for it, and what was agreed to for a while
only. It is a YAML file, ` + contractFile + ` unless -f names another.

  cachedrill contract check                   in CI: fails on what has expired, is overdue, or was never allowed
  cachedrill contract check --against OLD     also: every change needs an entry in the log of decisions
  cachedrill contract render > cache.md       the page for those on call`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(contractCheckCommand(), contractRenderCommand())
	return c
}

// contractFlags are what both subcommands want to know.
type contractFlags struct{ file, on, release string }

func (f *contractFlags) register(c *cobra.Command) {
	c.Flags().StringVarP(&f.file, "file", "f", contractFile, "the contract; - reads standard input")
	c.Flags().StringVar(&f.on, "on", "", "the day to check for, as in 2027-03-01 (default today, in UTC)")
	c.Flags().StringVar(&f.release, "release", "", "the release that is being built (default the contract's own)")
}

func (f *contractFlags) load(stdin io.Reader) (contract.Contract, contract.Date, error) {
	on := contract.On(time.Now())
	if f.on != "" {
		t, err := time.Parse(time.DateOnly, f.on)
		if err != nil {
			return contract.Contract{}, on, fmt.Errorf("--on %q is no date: year-month-day, as in 2027-03-01", f.on)
		}
		on = contract.On(t)
	}
	c, err := readContract(f.file, stdin)
	if err != nil {
		return c, on, err
	}
	if f.release != "" {
		if c.Release, err = contract.ParseRelease(f.release); err != nil {
			return c, on, fmt.Errorf("--release %q is no release: numbers with dots between, as in 4.2", f.release)
		}
	}
	return c, on, nil
}

func readContract(file string, stdin io.Reader) (contract.Contract, error) {
	src, err := io.ReadAll(stdin)
	if file != "-" {
		src, err = os.ReadFile(file)
	}
	if errors.Is(err, os.ErrNotExist) {
		return contract.Contract{}, fmt.Errorf("there is no %s here: -f names another file", file)
	}
	if err != nil {
		return contract.Contract{}, err
	}
	return contract.Parse(file, src)
}

func contractCheckCommand() *cobra.Command {
	var flags contractFlags
	var against string
	c := &cobra.Command{
		Use:   "check",
		Short: "Fail on defects of the contract, each with its line",
		Long: `Fails (exit code 1) on an expired exception, an overdue TTL review, a namespace with two classes, a sensitive field
that is neither redacted nor under a TTL ceiling, a rollback toggle past its release, and a decision from the future. With --against
also on a change that no new decision explains. A file that can't be understood ends with exit code 2.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			now, on, err := flags.load(c.InOrStdin())
			if err != nil {
				return exit{exitUsage, err}
			}
			defects := contract.Check(now, on)
			if against != "" {
				before, err := readContract(against, c.InOrStdin())
				if err != nil {
					return exit{exitUsage, err}
				}
				defects = append(defects, contract.CheckChange(before, now)...)
			}
			for _, d := range defects {
				fmt.Fprintf(c.OutOrStdout(), "%s:%s\n", flags.file, d)
			}
			if len(defects) > 0 {
				fmt.Fprintf(c.OutOrStdout(), "FAIL  %s  defects: %d\n", now.Service, len(defects))
				return exit{exitFail, nil}
			}
			fmt.Fprintf(c.OutOrStdout(), "PASS  %s  families: %d, jobs: %d, exceptions: %d, toggles: %d; nothing overdue on %s\n",
				now.Service, len(now.Families), len(now.Jobs), len(now.Exceptions), len(now.Toggles), on)
			return nil
		},
	}
	flags.register(c)
	c.Flags().StringVar(&against, "against", "", "an earlier state of the contract; - reads standard input")
	return c
}

func contractRenderCommand() *cobra.Command {
	var flags contractFlags
	c := &cobra.Command{
		Use:   "render",
		Short: "Write the contract as Markdown, defects of the day first",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			now, on, err := flags.load(c.InOrStdin())
			if err != nil {
				return exit{exitUsage, err}
			}
			return contract.Render(c.OutOrStdout(), now, on)
		},
	}
	flags.register(c)
	return c
}
