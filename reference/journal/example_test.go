package journal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cachedrill/cachedrill/reference/journal"
)

// What was acknowledged and not applied is handed out again by the next Open.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	files := journal.Folder(filepath.Join(dir, "journal"))

	j, _, err := journal.Open(journal.Config{Files: files})
	if err != nil {
		panic(err)
	}
	for _, change := range []string{"one", "two"} {
		at, err := j.Append(context.Background(), []byte(change)) // durable from here on: acknowledge it
		if err != nil {
			panic(err)
		}
		if change == "one" {
			j.Applied(at)
		}
	}
	fmt.Println(j.Pending(), "pending")
	if err := j.Close(); err != nil {
		panic(err)
	}

	j, kept, err := journal.Open(journal.Config{Files: files})
	if err != nil {
		panic(err)
	}
	defer j.Close()
	for _, r := range kept {
		fmt.Printf("%s\n", r.Data) // may include what was applied: apply only what is newer than what is there
	}
	// Output:
	// 1 pending
	// one
	// two
}
