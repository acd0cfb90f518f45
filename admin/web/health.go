package web

import (
	"context"
	"io"
	"net/http"
)

// live answers as long as the process does.
func (s *Site) live(w http.ResponseWriter, _ *http.Request) { plainText(w, http.StatusOK, "ok") }

// ready answers 503 while the server can't do its work. Why is in the log, not in the answer.
func (s *Site) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(ctx); err != nil {
			s.cfg.Log.Warn("not ready", "error", err)
			plainText(w, http.StatusServiceUnavailable, "not ready")
			return
		}
	}
	plainText(w, http.StatusOK, "ok")
}

func plainText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	io.WriteString(w, text+"\n")
}
