package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cachedrill/cachedrill/report"
)

func reportCommand() *cobra.Command {
	var which string
	var asJSON bool
	var html string
	c := &cobra.Command{
		Use:   "report DIR",
		Short: "Print the verdict of an earlier run again, or explain an accusation",
		Long: `Reads report.json in the directory that "run --out" wrote, and prints the summary again.

--explain N shows accusation N: what was observed, in the order of time, the arithmetic that proves it, and what usually
causes such a thing. Without N it shows the one that decided the verdict. With
--html FILE, for a stale read of a strong family, porcupine's visualisation of why no order of these operations
explains it.`,
		Example: `  cachedrill report drill-out
  cachedrill report drill-out --explain        # what decided the verdict
  cachedrill report drill-out --explain 1
  cachedrill report drill-out --explain 1 --html why.html`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 2 && c.Flags().Changed("explain") {
				return nil // the number of --explain N stands by itself
			}
			return cobra.ExactArgs(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			explain := c.Flags().Changed("explain")
			dir, which, err := explained(args, which)
			if err != nil {
				return exit{exitUsage, err}
			}
			if html != "" && !explain {
				return exit{exitUsage, errors.New("--html needs --explain N: which accusation")}
			}
			if html != "" && asJSON {
				return exit{exitUsage, errors.New("--html and --json exclude each other")}
			}
			r, err := readReport(dir)
			if err != nil {
				return exit{exitUsage, err}
			}
			out := c.OutOrStdout()
			switch {
			case explain:
				if which == decisive {
					n, ok := r.Decided()
					if !ok {
						return exit{exitUsage, noAccusation(r, "no accusation decided the verdict")}
					}
					which = strconv.Itoa(n)
				}
				n, err := strconv.Atoi(which)
				if err != nil {
					return exit{exitUsage, fmt.Errorf("--explain %q: no number of an accusation", which)}
				}
				return explainAccusation(out, c.ErrOrStderr(), r, n, asJSON, html)
			case asJSON:
				return report.JSON(out, r)
			}
			return report.Text(out, r, report.TextOptions{Color: colours(out), Dir: dir})
		},
	}
	c.Flags().StringVar(&which, "explain", "", "show accusation `N` with its evidence; without N the one that decided the verdict")
	c.Flags().Lookup("explain").NoOptDefVal = decisive
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON: the report, or the accusation")
	c.Flags().StringVar(&html, "html", "", "write porcupine's visualisation of the accusation into this file")
	return c
}

// decisive stands for the accusation that decided the verdict.
const decisive = "the decisive one"

// explained takes the number of --explain N out of the arguments: a flag whose value may be left
// out leaves N among them.
func explained(args []string, which string) (dir, number string, err error) {
	if len(args) == 1 {
		return args[0], which, nil
	}
	for i, a := range args {
		if _, err := strconv.Atoi(a); err == nil && which == decisive {
			dir, number = args[1-i], a // of two numbers the last is it
		}
	}
	if number == "" {
		return "", "", fmt.Errorf("%q and %q: one directory, and --explain N", args[0], args[1])
	}
	return dir, number, nil
}

// readReport reads the report of an earlier run.
func readReport(dir string) (report.Report, error) {
	path := filepath.Join(dir, "report.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return report.Report{}, fmt.Errorf("%s: no such file; a run writes it with --out %s", path, dir)
	}
	if err != nil {
		return report.Report{}, fmt.Errorf("reading a report: %w", err)
	}
	var head struct {
		Schema *string `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return report.Report{}, fmt.Errorf("%s: not a report, since it is not JSON: %w", path, err)
	}
	switch {
	case head.Schema == nil:
		return report.Report{}, fmt.Errorf("%s: not a report: it has no schema", path)
	case *head.Schema != report.Schema:
		return report.Report{}, fmt.Errorf("%s: its schema is %q, and this cachedrill reads %q", path, *head.Schema, report.Schema)
	}
	var r report.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return report.Report{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func explainAccusation(out, errs io.Writer, r report.Report, n int, asJSON bool, html string) error {
	a, drill, ok := r.Accusation(n)
	switch {
	case !ok:
		return exit{exitUsage, noAccusation(r, fmt.Sprintf("there is no accusation %d", n))}
	case asJSON:
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(a); err != nil {
			return fmt.Errorf("writing the accusation as JSON: %w", err)
		}
		return nil
	case html == "":
		return report.Explain(out, a, drill.Name)
	}
	var page bytes.Buffer
	if err := report.Visualize(&page, a); err != nil {
		return exit{exitUsage, err}
	}
	if err := os.WriteFile(html, page.Bytes(), 0o644); err != nil {
		return exit{exitUsage, fmt.Errorf("writing the visualisation: %w", err)}
	}
	fmt.Fprintf(errs, "wrote %s\n", html)
	return nil
}

// noAccusation says which accusations there are.
func noAccusation(r report.Report, why string) error {
	list := ""
	for _, s := range r.Scenarios {
		for _, a := range s.Accusations {
			list += fmt.Sprintf("\n  %d  %s: %s of %s", a.N, s.Name, a.Kind, a.Key)
		}
	}
	if list == "" {
		return fmt.Errorf("%s: nothing was accused", why)
	}
	return fmt.Errorf("%s; there are:%s", why, list)
}
