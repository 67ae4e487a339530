"""A webhook endpoint in plain Python 3: checks the signature, prints what arrived. Nothing to install.

    WEBHOOK_SECRET=whsec_... python3 receiver.py        (PORT, default 8080)
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_SECONDS = 5 * 60


def is_genuine(key: bytes, headers, body: bytes) -> bool:
    """Standard Webhooks 1.0: HMAC-SHA256 over "<id>.<timestamp>.<body>", one or more signatures separated by spaces."""
    delivery_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not delivery_id or not timestamp.isdecimal():
        return False
    if abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:  # An old request, sent again.
        return False
    digest = hmac.new(key, f"{delivery_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(digest)
    given = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(signature, expected) for signature in given)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Keeps connections open, so that the sender need not connect for each message.
    key = b""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if not is_genuine(self.key, self.headers, body):
            self.answer(401)
            return
        message = json.loads(body)
        # Both payload formats. The id is text; Python would keep its digits as a number too, others would not.
        events = message.get("segment_events") or message["data"]["segment_events"]
        for change in events:
            print(change["event"], change["slug"], message["id"], f"({self.headers['webhook-id']})", flush=True)
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_args) -> None:
        """What arrives is printed; the access log would only repeat it."""


def main() -> None:
    secret = os.environ.get("WEBHOOK_SECRET", "")
    if not secret.startswith("whsec_"):
        sys.exit("Set WEBHOOK_SECRET to the signing secret of the job's authorization (whsec_...).")
    Receiver.key = base64.b64decode(secret.removeprefix("whsec_"))
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
