// A webhook endpoint in plain Go: checks the signature, prints what arrived. Standard library only.
//
//	WEBHOOK_SECRET=whsec_... go run .        (PORT, default 8080)
//	WEBHOOK_SECRET=whpk_... go run .         (the public key of an ed25519 secret)
package main

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	tolerance      = 5 * time.Minute
	maxBodyBytes   = 2 << 20 // No message is longer.
	minSecretBytes = 24      // With a secret that is empty, anybody could sign.
)

type change struct {
	Event string `json:"event"`
	Slug  string `json:"slug"`
}

// message holds both payload formats: the legacy one has segment_events at the top. The id is text: as a number it would
// lose digits.
type message struct {
	ID            string   `json:"id"`
	SegmentEvents []change `json:"segment_events"`
	Data          struct {
		SegmentEvents []change `json:"segment_events"`
	} `json:"data"`
}

// verifier tells whether one signature of the header is ours.
type verifier func(content []byte, signature string) bool

// shared verifies by a secret that both sides know.
func shared(key []byte) verifier {
	return func(content []byte, signature string) bool {
		mac := hmac.New(sha256.New, key)
		mac.Write(content)
		return hmac.Equal([]byte(signature), []byte("v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))))
	}
}

// public verifies by the public key alone.
func public(key []byte) verifier {
	return func(content []byte, signature string) bool {
		encoded, ok := strings.CutPrefix(signature, "v1a,")
		given, err := base64.StdEncoding.DecodeString(encoded)
		return ok && err == nil && ed25519.Verify(key, content, given)
	}
}

// isGenuine follows Standard Webhooks 1.0: signed is "<id>.<timestamp>.<body>"; one or more signatures separated by spaces.
func isGenuine(isOurs verifier, header http.Header, body []byte) bool {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil || time.Since(time.Unix(seconds, 0)).Abs() > tolerance { // An old request, sent again.
		return false
	}
	content := append([]byte(id+"."+timestamp+"."), body...)
	for _, signature := range strings.Split(header.Get("webhook-signature"), " ") {
		if isOurs(content, signature) {
			return true
		}
	}
	return false
}

func receive(isOurs verifier) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		if !isGenuine(isOurs, r.Header, body) {
			http.Error(w, "wrong signature", http.StatusUnauthorized)
			return
		}
		var m message
		if err := json.Unmarshal(body, &m); err != nil {
			http.Error(w, "the body is no message", http.StatusBadRequest)
			return
		}
		for _, c := range append(m.SegmentEvents, m.Data.SegmentEvents...) {
			fmt.Printf("%s %s %s (%s)\n", c.Event, c.Slug, m.ID, r.Header.Get("webhook-id"))
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func verifierOf(secret string) verifier {
	kind, encoded, _ := strings.Cut(secret, "_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err == nil && kind == "whsec" && len(key) >= minSecretBytes:
		return shared(key)
	case err == nil && kind == "whpk" && len(key) == ed25519.PublicKeySize:
		return public(key)
	}
	return nil
}

func main() {
	isOurs := verifierOf(os.Getenv("WEBHOOK_SECRET"))
	if isOurs == nil {
		log.Fatal("Set WEBHOOK_SECRET to the signing secret of the job's authorization (whsec_...), or its public key (whpk_...).")
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, receive(isOurs)))
}
