package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cachedrill/cachedrill/report"
)

func reportCommand() *cobra.Command {
	var n int
	var asJSON bool
	var html string
	c := &cobra.Command{
		Use:   "report DIR",
		Short: "Print the verdict of an earlier run again, or explain an accusation",
		Long: `Reads report.json in the directory that "run --out" wrote, and prints the summary again.

--explain N shows accusation N: what was observed, in the order of time, and the arithmetic that proves it. With
--html FILE, for a stale read of a strong family, porcupine's visualisation of why no order of these operations
explains it.`,
		Example: `  cachedrill report drill-out
  cachedrill report drill-out --explain 1
  cachedrill report drill-out --explain 1 --html why.html`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			explain := c.Flags().Changed("explain")
			if html != "" && !explain {
				return exit{exitUsage, errors.New("--html needs --explain N: which accusation")}
			}
			if html != "" && asJSON {
				return exit{exitUsage, errors.New("--html and --json exclude each other")}
			}
			r, err := readReport(args[0])
			if err != nil {
				return exit{exitUsage, err}
			}
			out := c.OutOrStdout()
			switch {
			case explain:
				return explainAccusation(out, c.ErrOrStderr(), r, n, asJSON, html)
			case asJSON:
				return report.JSON(out, r)
			}
			return report.Text(out, r, report.TextOptions{Color: colours(out), Dir: args[0]})
		},
	}
	c.Flags().IntVar(&n, "explain", 0, "show accusation N with its evidence")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON: the report, or the accusation")
	c.Flags().StringVar(&html, "html", "", "write porcupine's visualisation of the accusation into this file")
	return c
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
		return exit{exitUsage, noAccusation(r, n)}
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
func noAccusation(r report.Report, n int) error {
	list := ""
	for _, s := range r.Scenarios {
		for _, a := range s.Accusations {
			list += fmt.Sprintf("\n  %d  %s: %s of %s", a.N, s.Name, a.Kind, a.Key)
		}
	}
	if list == "" {
		return fmt.Errorf("there is no accusation %d: nothing was accused", n)
	}
	return fmt.Errorf("there is no accusation %d; there are:%s", n, list)
}
