package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is a [Store] behind a client, which it does not own.
type Redis struct{ client *redis.Client }

// NewRedis makes a store of a client. How long it waits for a Redis that does not answer is the
// client's configuration.
func NewRedis(client *redis.Client) Redis { return Redis{client} }

// Get implements [Store].
func (r Redis) Get(ctx context.Context, key string) ([]byte, bool, error) {
	raw, err := r.client.Get(ctx, key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	return raw, err == nil, err
}

// Set implements [Store].
func (r Redis) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return r.client.Set(ctx, key, value, ttl).Err()
}

// Add implements [Store].
func (r Redis) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	return r.client.SetNX(ctx, key, value, ttl).Result()
}

// Delete implements [Store].
func (r Redis) Delete(ctx context.Context, keys ...string) error {
	return r.client.Del(ctx, keys...).Err()
}

// pipelined is how many commands go into one round trip.
const pipelined = 500

// SetAll implements [Store].
func (r Redis) SetAll(ctx context.Context, items []Item) error {
	for first := 0; first < len(items); first += pipelined {
		_, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, i := range items[first:min(first+pipelined, len(items))] {
				p.Set(ctx, i.Key, i.Value, i.TTL)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Run implements [Store].
func (r Redis) Run(ctx context.Context, s *Script, keys []string, args ...string) ([]string, error) {
	argv := make([]any, len(args))
	for i, a := range args {
		argv[i] = a
	}
	return s.lua.Run(ctx, r.client, keys, argv...).StringSlice()
}

// Identity implements [Store], by the run_id of INFO; what tells none is always the same.
func (r Redis) Identity(ctx context.Context) (string, error) {
	info, err := r.client.Info(ctx, "server").Result()
	if err != nil {
		return "", err
	}
	_, after, _ := strings.Cut(info, "run_id:")
	id, _, _ := strings.Cut(after, "\r\n")
	return id, nil
}

// Channel implements [Store], by the number of the client's database; that of database 0 is the
// name itself.
func (r Redis) Channel(name string) string {
	if db := r.client.Options().DB; db != 0 {
		return "db" + strconv.Itoa(db) + ":" + name
	}
	return name
}

// Publish implements [Store].
func (r Redis) Publish(ctx context.Context, channel, message string) error {
	return r.client.Publish(ctx, r.Channel(channel), message).Err()
}

// subscribeTimeout bounds the wait for the Redis to confirm a subscription: a cancelled context
// does not wake a read without a deadline.
const subscribeTimeout = 2 * time.Second

// waitingMessages is how many messages a slow listener may leave waiting before some are dropped.
const waitingMessages = 1024

// Subscribe implements [Store]. The connection is kept up, and made anew after it broke, until
// Close.
func (r Redis) Subscribe(ctx context.Context, channel string) (Subscription, error) {
	sub := r.client.Subscribe(ctx, r.Channel(channel))
	if _, err := sub.ReceiveTimeout(ctx, subscribeTimeout); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribing to %s: %w", channel, err), sub.Close())
	}
	s := &redisSubscription{sub: sub, out: make(chan string), over: make(chan struct{}), ended: make(chan struct{})}
	go s.forward(sub.Channel(redis.WithChannelSize(waitingMessages)))
	return s, nil
}

type redisSubscription struct {
	sub         *redis.PubSub
	out         chan string
	over, ended chan struct{}
}

func (s *redisSubscription) forward(in <-chan *redis.Message) {
	defer close(s.ended)
	defer close(s.out)
	for m := range in {
		select {
		case s.out <- m.Payload:
		case <-s.over:
			return
		}
	}
}

func (s *redisSubscription) Messages() <-chan string { return s.out }

func (s *redisSubscription) Close() error {
	close(s.over)
	err := s.sub.Close()
	<-s.ended
	return err
}
