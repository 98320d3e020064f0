package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
)

func faultsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "faults [NAME]",
		Short: "List the faults, or explain one: parameters, evidence, what heals it",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				listFaults(c.OutOrStdout())
				return nil
			}
			if d, ok := faults.All().Find(args[0]); ok {
				explainFault(c.OutOrStdout(), d)
				return nil
			}
			return exit{exitUsage, fmt.Errorf("no fault is named %q; %s", args[0], strictyaml.Suggest(args[0], faults.All().Names()))}
		},
	}
}

func listFaults(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range faults.All() {
		fmt.Fprintf(t, "%s\t%s\n", e.Name, e.Summary)
	}
	t.Flush()
	fmt.Fprintln(w, "\ncachedrill faults NAME explains one.")
}

func explainFault(w io.Writer, e faults.Definition) {
	fmt.Fprintf(w, "%s: %s\n\n  %s\n\n", e.Name, e.Summary, e.Example)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range append(e.Params, faults.Timing()...) {
		about := p.Doc
		switch {
		case p.Required:
			about += " (required)"
		case p.Default != "":
			about += " (default " + p.Default + ")"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", p.Name, p.Type, about)
	}
	t.Flush()
	fmt.Fprintln(w)
	for _, about := range e.Explain() {
		fmt.Fprintf(w, "  %-9s %s\n", about[0]+":", about[1])
	}
}
