package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"time"
)

// printPlan says what a run would do.
func printPlan(w io.Writer, p plan) {
	fmt.Fprintln(w, p.header())
	fmt.Fprintf(w, "redis    %s\n", p.redis)
	for _, sc := range p.scenarios {
		fmt.Fprintf(w, "\n%s   %s\n", sc.Name, sc.Why)
		ph := sc.Phases
		fmt.Fprintf(w, "  load     up to %.0f operations/s for %v: warmup %v, steady %v, fault %v, recovery %v\n",
			sc.Workload.Rate(), ph.Total(), ph.Warmup, ph.Steady, ph.Fault, ph.Recovery)
		for _, f := range sc.Faults {
			fmt.Fprintf(w, "  fault    %s at %v\n", f.Fault, (ph.Warmup + ph.Steady + f.At).Round(time.Millisecond))
		}
		for _, o := range sc.Objectives {
			fmt.Fprintf(w, "  %-8s %s\n", o.Group, o.Objective.Expr)
		}
	}
}

// version is the module's version, or what the build knows of its origin.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return info.Main.Version
}
