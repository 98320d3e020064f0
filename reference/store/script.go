package store

import "github.com/redis/go-redis/v9"

// Script is a step of several commands that nothing comes between, in the two languages that it
// must be known in. Both forms must do the same; answers are lists of strings.
type Script struct {
	lua luaScript
	run func(tx *Tx, keys, args []string) []string
}

// NewScript makes a script from its Lua form, for a Redis, and its Go form, for [Memory].
func NewScript(lua string, run func(tx *Tx, keys, args []string) []string) *Script {
	return &Script{lua: newLua(lua), run: run}
}

type luaScript = *redis.Script

func newLua(text string) luaScript { return redis.NewScript(text) }
