package habits

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/report/slo"
)

// habit is a habit that correct services have, and what drills of them come to.
type habit struct {
	name   string
	habits Habits
	class  Class
	says   []string // what the report of the drill of a correct service says, when the suite does not describe the habit
	defect string   // what a drill catches in a service of the same habit, when the suite describes it
}

var table = []habit{
	{"none", Habits{"bypass": "source"}, Strong, nil, "loses"},
	{"none, bounded", Habits{"bypass": "source"}, Bounded, nil, "forgets"},
	{"none, eventual", Habits{"bypass": "source"}, Eventual, nil, "forgets"},
	{"202, and the write is made later", Habits{"ack": "accepted"}, Strong, nil, "crossed"},
	{"202, with a bypass", Habits{"ack": "accepted", "bypass": "source"}, Strong, nil, "crossed"},
	{"200, and the write is made later", Habits{"ack": "early"}, Strong, nil, "crossed"},
	{"200 and later, with a bypass", Habits{"ack": "early", "bypass": "source"}, Strong, nil, "crossed"},
	{"refusals of GraphQL", Habits{"style": "graphql", "refusal": "errors"}, Bounded, nil, "forgets"},
	{"refusals of GraphQL, strong", Habits{"style": "graphql", "refusal": "errors"}, Strong, nil, "forgets"},
	{"refusals with 200", Habits{"refusal": "errors"}, Strong, nil, "slow-fill"},
	{"refusals with 409", Habits{"refusal": "conflict"}, Strong, nil, "dirty"},
	{"500 after the write", Habits{"failure": "after", "bypass": "source"}, Strong, nil, "forgets"},
	{"bypass of a replica", Habits{"bypass": "replica"}, Strong, nil, "loses"},
	{"bypass of a replica, bounded", Habits{"bypass": "replica"}, Bounded, nil, "forgets"},
	{"202, with a bypass of a replica", Habits{"ack": "accepted", "bypass": "replica"}, Strong, nil, "crossed"},
	{"several values in an answer", Habits{"neighbours": "one"}, Bounded, nil, "crossed"},
	{"several values and tenants", Habits{"neighbours": "one", "tenants": "two"}, Strong, nil, "tenants"},
	{"40 characters are kept", Habits{"token": "truncated"}, Bounded, nil, "crossed"},
	{".jpg is appended", Habits{"token": "suffix"}, Bounded, nil, "forgets"},
	{"40 characters at most", Habits{"token": "short"}, Strong, nil, "slow-fill"},
	{"whole numbers", Habits{"token": "integer"}, Strong, nil, "slow-fill"},
	{"decimals", Habits{"token": "decimal"}, Strong, nil, "forgets"},
	{"values that are UUIDs", Habits{"token": "uuid"}, Bounded, nil, "forgets"},
	{"keys that are UUIDs", Habits{"key": "uuid"}, Strong, nil, "slow-fill"},
	{"keys with zeros", Habits{"key": "padded"}, Strong, nil, "negative"},
	{"versions from 1", Habits{"version": "one"}, Strong, nil, "slow-fill"},
	{"versions from 0", Habits{"version": "zero"}, Strong, nil, "slow-fill"},
	{"weak entity tags", Habits{"version": "etag"}, Strong, nil, "slow-fill"},
	{"opaque entity tags", Habits{"version": "opaque"}, Strong, nil, "forgets"},
	{"times as versions", Habits{"version": "time"}, Strong, nil, "forgets"},
	{"versions begin anew", Habits{"version": "reset"}, Strong, nil, "slow-fill"},
	{"410", Habits{"absence": "gone"}, Strong, nil, "negative"},
	{"204", Habits{"absence": "nocontent"}, Strong, nil, "negative"},
	{"null", Habits{"absence": "null"}, Strong, nil, "negative"},
	{"{}", Habits{"absence": "object"}, Strong, nil, "negative"},
	{"[]", Habits{"absence": "list"}, Strong, nil, "negative"},
	{"item: null", Habits{"absence": "item"}, Strong, nil, "negative"},
	{"429 while seeding", Habits{"limit": "bucket"}, Strong, nil, "slow-fill"},
	{"gzip", Habits{"encoding": "gzip"}, Strong, nil, "slow-fill"},
	{"a byte order mark", Habits{"encoding": "mark"}, Strong, nil, "slow-fill"},
	{"tiers by a word", Habits{"tier": "word"}, Strong, nil, "loses"},
	{"MISS, HIT", Habits{"tier": "stacked"}, Strong, nil, "loses"},
	{"X-Cache twice", Habits{"tier": "lines"}, Strong, nil, "loses"},
	{"words of CDNs", Habits{"tier": "cdn"}, Strong, nil, "loses"},
	{"Cache-Status", Habits{"tier": "status"}, Strong, nil, "loses"},
	{"MISS of a copy", Habits{"tier": "replayed"}, Bounded, nil, "forgets"},
	{"fields that change", Habits{"extra": "fields"}, Strong, nil, "slow-fill"},
	{"three workers behind one address", Habits{"workers": "balanced"}, Strong, nil, "deaf"},
	{"ids that the service makes", Habits{"key": "assigned", "bypass": "source"}, Strong, nil, "loses"},
	{"ids that the service makes, with versions", Habits{"key": "assigned", "version": "one"}, Strong, nil, "forgets"},
	{"two workers", Habits{"workers": "two", "bypass": "source"}, Strong, nil, "deaf"},
}

// No correct service is accused, whether its suite describes its habit or not; and one that has the
// same habit and a broken cache is caught, when it does.
func TestHabitsAreNoDefects(t *testing.T) {
	const seeds = 2
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(seeds) {
				for _, described := range []bool{false, true} {
					s, err := drilled(t, New(c.habits, c.class, "", seed), described, seed)
					if err != nil {
						require.False(t, described, "%v", err)
						continue
					}
					require.Empty(t, missed(s), "described: %v\n%s", described, rows(s))
					for _, words := range c.says {
						if !described {
							require.Contains(t, rows(s), words)
						}
					}
				}
				s, err := drilled(t, New(c.habits, c.class, c.defect, seed), true, seed)
				require.NoError(t, err)
				require.Equal(t, slo.Fail, s.Outcome, "%s escapes: %s", c.defect, rows(s))
			}
		})
	}
}
