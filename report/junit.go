package report

import (
	"encoding/xml"
	"fmt"
	"io"

	"github.com/cachedrill/cachedrill/report/slo"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name      string      `xml:"name,attr"`
	Classname string      `xml:"classname,attr"`
	Time      string      `xml:"time,attr"`
	Failure   *junitWrong `xml:"failure"`
	Error     *junitWrong `xml:"error"`
}

type junitWrong struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit XML: a testsuite per drill and a testcase per objective; a
// missed objective is a failure, an unknown one an error. A drill whose outcome its objectives do
// not show (it was void as a whole, or had none that could be judged) has a testcase "drill" of its
// own.
func JUnit(w io.Writer, r Report) error {
	all := junitSuites{Name: "cachedrill"}
	var total float64
	for _, s := range r.Scenarios {
		var took float64
		for _, p := range s.Phases {
			took = max(took, p.EndS)
		}
		total += took
		suite := junitSuite{Name: s.Name, Time: junitTime(took), Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05")}
		for _, o := range s.SLOs {
			suite.add(junitObjective(s.Name, o))
		}
		if len(s.SLOs) == 0 || decidedBy(s.SLOs) != s.Outcome {
			suite.add(junitDrill(s))
		}
		all.Tests += suite.Tests
		all.Failures += suite.Failures
		all.Errors += suite.Errors
		all.Suites = append(all.Suites, suite)
	}
	all.Time = junitTime(total)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("writing JUnit XML: %w", err)
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return fmt.Errorf("writing JUnit XML: %w", err)
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return fmt.Errorf("writing JUnit XML: %w", err)
	}
	return nil
}

func junitTime(s float64) string { return fmt.Sprintf("%.3f", s) }

func (s *junitSuite) add(c junitCase) {
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Error != nil {
		s.Errors++
	}
	s.Cases = append(s.Cases, c)
}

func junitObjective(drill string, o SLO) junitCase {
	c := junitCase{Name: "[" + string(o.Phase) + "] " + o.Expr, Classname: "cachedrill." + drill, Time: junitTime(0)}
	observed := "observed " + o.Observed
	if o.Observed == "" {
		observed = "nothing observed"
	}
	switch o.Outcome {
	case slo.Fail:
		c.Failure = &junitWrong{Message: observed + ", limit " + o.Limit, Type: "objective missed", Text: o.Evidence}
		if o.Accusation > 0 {
			c.Failure.Text += fmt.Sprintf("\ncachedrill report DIR --explain %d", o.Accusation)
		}
	case slo.Unknown:
		c.Error = &junitWrong{Message: o.Why, Type: "unknown", Text: observed + ", limit " + o.Limit}
	}
	return c
}

func junitDrill(s Drill) junitCase {
	c := junitCase{Name: "drill", Classname: "cachedrill." + s.Name, Time: junitTime(0)}
	switch s.Outcome {
	case slo.Fail:
		c.Failure = &junitWrong{Message: s.Why, Type: "drill failed"}
	case slo.Unknown:
		c.Error = &junitWrong{Message: s.Why, Type: "unknown"}
	}
	return c
}
