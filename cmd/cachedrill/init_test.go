package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cachedrill/cachedrill/scenarios"
)

// What init writes for a service is a suite that validate accepts, with what the flags set in it.
func TestInitForAService(t *testing.T) {
	file := filepath.Join(t.TempDir(), "drill.yaml")
	for i, c := range []struct {
		flags     []string
		scenarios []string
		holds     []string
	}{
		{[]string{"--read", "/p/{key}", "--token", "body"}, []string{"quiet"}, []string{"token: body"}},
		{[]string{"--read", "/p/{key}?l={locale}&c={currency}", "--write", "/p/{key}?l={locale}&c={currency}", "--token", "header:X-Value", "--delete", "/p/{key}?l={locale}&c={currency}"},
			[]string{"quiet"}, []string{`write: {PUT: "/p/{key}?l={locale}&c={currency}", body: "{token}"}`, "locales: [de, en]", "currencies: [EUR, USD]", `{header: "X-Value"}`}},
		{[]string{"--url", "http://127.0.0.1:2", "--read", "/p/{key}?t={tenant}", "--write", "POST /p/{key}?t={tenant}", "--json", `{"a": {"b": "{token}"}}`, "--token", "$.a.b", "--bypass", "/p/{key}?t={tenant}&fresh=1",
			"--tier", "X-Cache", "--redis", "redis://127.0.0.1:6379/2", "--key-prefix", "p:", "--source", "127.0.0.1:5432", "--start", "python3 app.py --port 1", "--ready", "/up"},
			[]string{"quiet", "redis-gone", "redis-refuses", "mass-expiry", "slow-source"},
			[]string{`start: ["python3", "app.py", "--port", "1"]`, `listen: "127.0.0.1:7379"`, `listen: "127.0.0.1:6432"`, "tenants: 3", "bursts: {every: 2s", `key_prefix: "p:"`}},
		{[]string{"--read", "/p/{key}", "--token", "/it's (.*)/"}, []string{"quiet"}, []string{`{regexp: 'it''s (.*)'}`}},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"init", "--target", "http", "-f", file, "--url", "http://127.0.0.1:1"}, c.flags...)
		if i > 0 {
			args = append(args, "--force")
		}
		require.Equal(t, exitPass, run(t.Context(), args, &out, &errs), errs.String())
		require.Contains(t, out.String(), "cachedrill check -f "+file)
		s, err := scenarios.Load(file)
		require.NoError(t, err)
		require.Equal(t, c.scenarios, s.Names())
		require.Empty(t, s.Warnings(), "its limits can be missed in its drills")
		for _, sc := range s.Scenarios {
			lasts := time.Duration(0)
			for _, f := range sc.Faults {
				lasts = max(lasts, f.Fault.Lasts())
			}
			for _, h := range sc.Halt {
				require.Greater(t, h.For, lasts+8*time.Second, "no halt before what is to be caught, and the time to recover, are over")
			}
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, h := range c.holds {
			require.Contains(t, string(text), h)
		}
	}
	for flags, says := range map[string]string{
		"":                               "these are needed: --url, --read",
		"--url=x --read=/p --token=body": `"x": no base URL`,
		"--url=http://127.0.0.1:1 --read=/p --token=body":                                      "{key} is missing",
		"--url=http://10.1.2.3 --read=/{key} --token=body":                                     "not on this machine, and not allowed",
		"--url=http://127.0.0.1:1 --read=/{key} --write=/{key} --json={ --token=body":          "--json",
		"--url=http://127.0.0.1:1 --read=/{key} --token=body --redis=nowhere --key-prefix=abc": "--redis: no address of a Redis",
	} {
		var out, errs bytes.Buffer
		args := append([]string{"init", "--target", "http", "--force", "-f", file}, strings.Fields(flags)...)
		require.Equal(t, exitUsage, run(t.Context(), args, &out, &errs), flags)
		require.Contains(t, errs.String(), says, flags)
	}
}

func TestInitAsks(t *testing.T) {
	var a httpAnswers
	a.Tier = "X-Cache" // set by a flag
	var out bytes.Buffer
	answers := []string{"http://127.0.0.1:9", "", "PUT /products/{key}", `{"title": "{token}"}`, "$.title", "", "-", "", "shop:", ""}
	require.NoError(t, a.ask(strings.NewReader(strings.Join(answers, "\n")+"\n"), &out))
	require.Equal(t, httpAnswers{URLs: []string{"http://127.0.0.1:9"}, Read: "/products/{key}", Write: "PUT /products/{key}", JSON: `{"title": "{token}"}`, Token: "$.title",
		Tier: "X-Cache", Redis: "redis://127.0.0.1:6379/0", KeyPrefix: "shop:"}, a)
	_, err := a.suite("x.yaml")
	require.NoError(t, err)
	require.ErrorContains(t, (&httpAnswers{}).ask(strings.NewReader("http://127.0.0.1:9\n"), &out), "no more answers")
}
