package sourceguard

import (
	"sync"
)

// budget is a token bucket: loads earn, retries spend. (Finagle and gRPC have such budgets; the
// share of ten per cent is theirs too.)
type budget struct {
	mu     sync.Mutex
	tokens float64
}

const (
	budgetShare = 0.1 // retries a load
	budgetMost  = 10  // retries at once after a quiet time
)

func (b *budget) earn() {
	b.mu.Lock()
	b.tokens = min(budgetMost, b.tokens+budgetShare)
	b.mu.Unlock()
}

func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
