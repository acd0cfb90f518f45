package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

// browser is headless Chromium, driven through chromedriver by W3C WebDriver.
type browser struct {
	session string // its URL
}

// openBrowser waits until chromedriver listens, and has it start Chromium with a profile of its own.
func openBrowser(ctx context.Context, port int, profile string) (*browser, error) {
	base := fmt.Sprintf("http://127.0.0.1:%d/session", port)
	options := map[string]any{"binary": "/usr/bin/chromium", "args": []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--window-size=1280,900", "--user-data-dir=" + profile}}
	capabilities := map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{"goog:chromeOptions": options}}}
	var session struct{ SessionID string }
	err := wait(ctx, "Chromium", func() (bool, error) {
		err := request(ctx, "POST", base, capabilities, &session)
		return err == nil, err
	})
	return &browser{base + "/" + session.SessionID}, err
}

// request makes one WebDriver call.
func request(ctx context.Context, method, url string, body, value any) error {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, &text)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var raw struct{ Value json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&raw); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		var failure struct{ Error, Message string }
		_ = json.Unmarshal(raw.Value, &failure)
		return fmt.Errorf("%s: %s", failure.Error, failure.Message)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(raw.Value, value)
}

func (b *browser) open(ctx context.Context, url string) error {
	return request(ctx, "POST", b.session+"/url", map[string]any{"url": url}, nil)
}

// run runs a script in the page.
func (b *browser) run(ctx context.Context, script string, args ...any) error {
	return b.value(ctx, nil, script, args...)
}

// value runs a script in the page and takes what it returns.
func (b *browser) value(ctx context.Context, value any, script string, args ...any) error {
	if args == nil {
		args = []any{}
	}
	return request(ctx, "POST", b.session+"/execute/sync", map[string]any{"script": script, "args": args}, value)
}

// until waits until an expression is true in the page.
func (b *browser) until(ctx context.Context, expression string, args ...any) error {
	return wait(ctx, expression, func() (bool, error) {
		var ok bool
		err := b.value(ctx, &ok, "return !!("+expression+")", args...)
		return ok, err
	})
}

// typeInto gives an element keys, as the keyboard would.
func (b *browser) typeInto(ctx context.Context, selector, text string) error {
	element, err := b.element(ctx, selector)
	if err != nil {
		return err
	}
	return request(ctx, "POST", element+"/value", map[string]any{"text": text}, nil)
}

// click clicks an element as the mouse would: it must be in sight.
func (b *browser) click(ctx context.Context, selector string) error {
	element, err := b.element(ctx, selector)
	if err != nil {
		return err
	}
	return request(ctx, "POST", element+"/click", map[string]any{}, nil)
}

// element waits for an element and returns its URL.
func (b *browser) element(ctx context.Context, selector string) (string, error) {
	var found map[string]string
	err := wait(ctx, selector, func() (bool, error) {
		err := request(ctx, "POST", b.session+"/element", map[string]any{"using": "css selector", "value": selector}, &found)
		return err == nil, err
	})
	for _, id := range found {
		return b.session + "/element/" + id, err
	}
	return "", err
}

func (b *browser) savePNG(ctx context.Context, path string) error {
	var picture string
	if err := request(ctx, "GET", b.session+"/screenshot", nil, &picture); err != nil {
		return err
	}
	data, err := base64.StdEncoding.DecodeString(picture)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
