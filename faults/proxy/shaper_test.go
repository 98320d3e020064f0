package proxy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/faults/link"
)

// A toxic that can't be interrupted while its bytes find no taker hangs its proxy for ever.
func TestShaperCanBeInterruptedWhateverItDoes(t *testing.T) {
	for name, f := range map[string]link.Shape{
		"the bytes find no taker": {},
		"they are late":           {Delay: time.Hour},
		"they wait":               {Stall: true},
		"they are few":            {Rate: 1},
		"they disappear":          {Drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shaper{}
			change := func(f link.Shape) {
				text, err := json.Marshal(flow{Shape: f})
				require.NoError(t, err)
				require.NoError(t, json.Unmarshal(text, s))
			}
			in, out := make(chan *stream.StreamChunk), make(chan *stream.StreamChunk)
			stub := toxics.NewToxicStub(in, out)
			stub.State = s.NewState()
			toxic := &toxics.ToxicWrapper{Toxic: s, Toxicity: 1}
			change(f)
			go stub.Run(toxic)
			in <- &stream.StreamChunk{Data: []byte("some bytes"), Timestamp: time.Now()}
			interrupted := make(chan bool, 1)
			go func() { interrupted <- stub.InterruptToxic() }()
			select {
			case ok := <-interrupted:
				require.True(t, ok)
			case <-time.After(10 * time.Second):
				t.Fatal("it can't be interrupted")
			}
			change(link.Shape{})
			go stub.Run(toxic)
			if f.Drop {
				require.Nil(t, next(t, out), "what comes after a gap is not handed on: the connection ends")
				return
			}
			require.Equal(t, "some bytes", string(next(t, out).Data), "nothing is lost by an interruption")
			close(in)
			require.Nil(t, next(t, out))
		})
	}
}

// next is what a toxic hands on next; nil at the end.
func next(t *testing.T, out <-chan *stream.StreamChunk) *stream.StreamChunk {
	t.Helper()
	select {
	case c := <-out:
		return c
	case <-time.After(10 * time.Second):
		t.Fatal("nothing comes")
		return nil
	}
}

// Bytes that wait are bytes that move when a reset comes.
func TestShaperResetsWhatWaits(t *testing.T) {
	s := &shaper{}
	s.now.Store(&flow{Shape: link.Shape{Stall: true}})
	in, out := make(chan *stream.StreamChunk), make(chan *stream.StreamChunk)
	stub := toxics.NewToxicStub(in, out)
	stub.State = s.NewState()
	toxic := &toxics.ToxicWrapper{Toxic: s, Toxicity: 1}
	go stub.Run(toxic)
	in <- &stream.StreamChunk{Data: []byte("some bytes"), Timestamp: time.Now()}
	require.True(t, stub.InterruptToxic())
	s.now.Store(&flow{Shape: link.Shape{Stall: true, Reset: true}})
	go stub.Run(toxic)
	require.Nil(t, next(t, out))
}

func TestShaperKeepsTheOrder(t *testing.T) {
	s := &shaper{}
	s.now.Store(&flow{Shape: link.Shape{Delay: 5 * time.Millisecond, Jitter: 5 * time.Millisecond, Rate: 10_000}})
	in, out := make(chan *stream.StreamChunk, 100), make(chan *stream.StreamChunk)
	stub := toxics.NewToxicStub(in, out)
	stub.State = s.NewState()
	go stub.Run(&toxics.ToxicWrapper{Toxic: s, Toxicity: 1})
	began := time.Now()
	var sent, got []byte
	for i := range 50 {
		data := []byte{byte(i), byte(i), byte(i), byte(i)}
		sent = append(sent, data...)
		in <- &stream.StreamChunk{Data: data, Timestamp: time.Now()}
	}
	in <- &stream.StreamChunk{Data: make([]byte, 1100), Timestamp: time.Now()} // more than goes at once
	sent = append(sent, make([]byte, 1100)...)
	close(in)
	for c := range out {
		got = append(got, c.Data...)
	}
	require.Equal(t, sent, got)
	require.GreaterOrEqual(t, time.Since(began), 120*time.Millisecond, "1,300 bytes at 10,000 a second")
}
