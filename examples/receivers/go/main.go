// A webhook endpoint in plain Go: checks the signature, prints what arrived. Standard library only.
//
//	WEBHOOK_SECRET=whsec_... go run .        (PORT, default 8080)
package main

import (
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
	tolerance    = 5 * time.Minute
	maxBodyBytes = 1 << 20
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

// isGenuine follows Standard Webhooks 1.0: HMAC-SHA256 over "<id>.<timestamp>.<body>", one or more signatures separated by
// spaces.
func isGenuine(key []byte, header http.Header, body []byte) bool {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil || time.Since(time.Unix(seconds, 0)).Abs() > tolerance { // An old request, sent again.
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, signature := range strings.Split(header.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(signature), []byte(expected)) {
			return true
		}
	}
	return false
}

func receive(key []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		if !isGenuine(key, r.Header, body) {
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

func main() {
	encoded, ok := strings.CutPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		log.Fatal("Set WEBHOOK_SECRET to the signing secret of the job's authorization (whsec_...).")
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
	log.Fatal(http.Serve(listener, receive(key)))
}
