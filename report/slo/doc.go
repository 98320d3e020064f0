// Package slo has the objectives of a drill: their language ([Catalogue.Parse]), the metrics that
// they are about ([Metrics]), and the algebra that makes outcomes of measurements
// ([Range.Decide], [DrillOutcome], [SuiteOutcome]).
//
// An objective is pass, fail or unknown. A measurement is a [Range] in which the true value is
// known to lie; [Range.Decide] makes an outcome of it. What nothing could have shown to be missed
// is unknown, never a pass.
//
// A metric is one [Metric] literal beside its function, and a line in the table of [Metrics].
// Its function reads [Measurements], which report/measure implements. Callers may extend the
// catalogue for themselves with [Catalogue.With].
//
// The package imports nothing else of this project.
package slo
