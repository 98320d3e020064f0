package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/cachedrill/cachedrill"
	"github.com/cachedrill/cachedrill/internal/secret"
	"github.com/cachedrill/cachedrill/scenarios"
)

const defaultFile = "scenarios.yaml"

// loadSuite reads the named file, or the scenarios.yaml of this folder, or else the suite that
// comes with the program; note says which when it isn't obvious.
func loadSuite(file string) (s scenarios.Suite, note string, err error) {
	if file != "" {
		s, err = scenarios.Load(file)
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: cachedrill init writes one, and with --target http one for a service of yours", err)
		}
		return s, "", configuration(err)
	}
	s, err = scenarios.Load(defaultFile)
	if errors.Is(err, os.ErrNotExist) {
		s, err = scenarios.Parse("the default suite", cachedrill.DefaultSuite)
		return s, "No scenarios.yaml here: using the default suite (cachedrill init writes it).", configuration(err)
	}
	return s, "", configuration(err)
}

func fileFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "file", "f", "", "the suite (default: scenarios.yaml here, else the one that comes with cachedrill)")
}

func listCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the scenarios and policies of a suite",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, note, err := loadSuite(file)
			if err != nil {
				return err
			}
			if note != "" {
				fmt.Fprintln(c.ErrOrStderr(), note)
			}
			listSuite(c.OutOrStdout(), s)
			return nil
		},
	}
	fileFlag(c, &file)
	return c
}

func listSuite(w io.Writer, s scenarios.Suite) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, sc := range s.Scenarios {
		fmt.Fprintf(t, "%s\t%.0f s\t%s\n", sc.Name, sc.Phases.Total().Seconds(), sc.Why)
	}
	t.Flush()
	fmt.Fprintf(w, "\npolicies: %s\n", strings.Join(s.PolicyNames(), ", "))
	if s.Named != "" {
		fmt.Fprintf(w, "policy: %s, unless another one is named\n", s.Named)
	}
}

func validateCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "validate",
		Short: "Check a suite and report everything wrong with it, without running it",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, _, err := loadSuite(file)
			if err != nil {
				return err
			}
			doubts := ""
			for _, line := range s.Warnings() {
				fmt.Fprintln(c.OutOrStdout(), secret.Redact(line))
				doubts = fmt.Sprintf(", %d warnings", len(s.Doubts))
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %d scenarios, nothing wrong%s\n", s.File, len(s.Scenarios), doubts)
			return nil
		},
	}
	fileFlag(c, &file)
	return c
}

func initCommand() *cobra.Command {
	var file, target string
	var force bool
	var answers httpAnswers
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a suite to a file, to change it",
		Long: `Writes the default suite, which drills the service that comes with cachedrill; or, with --target http, a suite for a
service of yours. What that needs to know comes by flags, or is asked for on a terminal.`,
		Example: `  cachedrill init
  cachedrill init --target http -f drill.yaml --url http://127.0.0.1:8081 --read '/products/{key}' \
    --write 'PUT /products/{key}' --json '{"title": "{token}"}' --token '$.title' --tier X-Cache \
    --redis redis://127.0.0.1:6379/0 --key-prefix shop:`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text := cachedrill.DefaultSuite
			switch target {
			case "reference":
			case "http":
				var err error
				if text, err = initHTTP(c, &answers, file); err != nil {
					return exit{exitUsage, err}
				}
			default:
				return exit{exitUsage, fmt.Errorf("--target %q: there are reference and http", target)}
			}
			if err := writeSuite(file, text, force); err != nil {
				return err
			}
			next := "cachedrill validate"
			if target == "http" {
				next = "cachedrill check"
			}
			fmt.Fprintf(c.OutOrStdout(), "wrote %s\nnext: change it, %s -f %s, cachedrill run -f %s\n", file, next, file, file)
			return nil
		},
	}
	c.Flags().StringVarP(&file, "file", "f", defaultFile, "where to write it")
	c.Flags().BoolVar(&force, "force", false, "overwrite a file that is there")
	c.Flags().StringVar(&target, "target", "reference", "what is drilled: reference, or http for a service of yours")
	answers.flags(c)
	return c
}

// initHTTP makes a suite of what flags say, and of what is answered on a terminal.
func initHTTP(c *cobra.Command, a *httpAnswers, file string) ([]byte, error) {
	if missing := a.missing(); len(missing) > 0 {
		in, terminal := c.InOrStdin().(*os.File)
		if !terminal || !isTerminal(in) {
			return nil, fmt.Errorf("without a terminal to ask on, these are needed: %s", strings.Join(missing, ", "))
		}
		if err := a.ask(in, c.ErrOrStderr()); err != nil {
			return nil, err
		}
	}
	return a.suite(file)
}

func writeSuite(file string, text []byte, force bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(file, flags, 0o644)
	if errors.Is(err, os.ErrExist) {
		return exit{exitUsage, fmt.Errorf("%s is there already: --force overwrites it, -f writes another file", file)}
	}
	if err != nil {
		return exit{exitUsage, fmt.Errorf("writing the suite: %w", err)}
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return exit{exitUsage, fmt.Errorf("writing the suite: %w", err)}
	}
	return nil
}
