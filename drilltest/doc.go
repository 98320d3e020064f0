// Package drilltest is cachedrill for caches that are Go libraries: drills as tests.
//
// Implement [targets.Target], say in a [Scenario] what is promised, how much is asked and what
// breaks, and hand both to [Run]:
//
//	func TestMyCache(t *testing.T) {
//		drilltest.Run(t, &target{cache: mycache.New()}, drilltest.Scenario{
//			Name: "redis-gone", Rate: 500,
//			Families: []drilltest.Family{{Name: "product", Class: drilltest.Bounded, Within: time.Second, Keys: 100, Writes: 0.05}},
//			Faults:   []drilltest.Fault{{Name: "redis gone", Inject: breakRedis, For: time.Second}},
//			Objectives: drilltest.Objectives{
//				Fault:  []string{"errors < 1%", "p99 < 50ms"},
//				Always: []string{"violations == 0", "lost_writes == 0"},
//			},
//		})
//	}
//
// Each objective becomes a subtest, such as TestMyCache/fault/p99_<_50ms. One that is missed fails
// with the observed value, the limit and the evidence; one that nothing could decide fails too, and
// says why. The report lies in the test's artifacts (go test -artifacts). The example below is a
// whole one: a small cache, its target, a fault, and the same cache with a mistake. [Measure] is
// the form for programs that are no tests.
//
// # What the target must do
//
// Do stores the token of a write, and answers a read with the token that it holds; the token is a
// value like any other. What a read answers proves what is lost, stale or mixed up. A target that
// is nothing else is a black box: the drill seeds it by writes, and sends the changes of a key one
// at a time, since nothing else tells their order. Optional interfaces let more be judged:
//
//	targets.Historian     the source of truth tells its history: concurrent writes of a key are judged too
//	targets.LoadCounter   loads of the source are counted: source_qps, stampede.max, redundant_loads
//	targets.InvalidationReporter    invalidation seen from inside
//	targets.Instanced        the workers, which the audit reads one by one, and an instance past the caches, without which no
//	                      lost_writes can be judged of a black box
//	Settler               when everything written has reached everybody
//	Seeder, Prewarmer     first values other than by writes, and caches filled other than by reads
//	Purger                caches that drop keys on demand, before the audit
//	Clocked               offset 0 of the times in history, loads and drops
package drilltest
