package scenarios

import (
	"fmt"
	"os"

	"github.com/cachedrill/cachedrill/faults"
	"github.com/cachedrill/cachedrill/internal/strictyaml"
	"github.com/cachedrill/cachedrill/report/slo"
	"github.com/cachedrill/cachedrill/targets/redis"
)

// Language is what suites can name that programs may add to: faults, places where a Redis comes
// from, and metrics of objectives.
type Language struct {
	Faults   faults.Catalogue
	Backends redis.Backends
	Metrics  slo.Catalogue
}

// Builtin is the language of this program's own faults, backends and metrics.
func Builtin() Language {
	return Language{Faults: faults.All(), Backends: redis.All(), Metrics: slo.Metrics()}
}

// Load reads and checks a suite from a file. What is wrong with its content comes as an [*Error].
func (l Language) Load(file string) (Suite, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return Suite{}, fmt.Errorf("reading the suite: %w", err)
	}
	return l.Parse(file, src)
}

// Parse reads and checks a suite; file is used in messages only.
func (l Language) Parse(file string, src []byte) (Suite, error) {
	noteSecrets(src)
	root, problems := strictyaml.Parse(src)
	suite := Suite{File: file}
	if root.Present() {
		suite = decodeSuite(file, root, l)
	}
	if len(problems.List) > 0 {
		return Suite{}, &Error{File: file, Problems: problems.Sorted()}
	}
	suite.Doubts = problems.SortedDoubts()
	return suite, nil
}

// Load reads and checks a suite in the builtin language from a file; see [Language.Load].
func Load(file string) (Suite, error) { return Builtin().Load(file) }

// Parse reads and checks a suite in the builtin language; see [Language.Parse].
func Parse(file string, src []byte) (Suite, error) { return Builtin().Parse(file, src) }
