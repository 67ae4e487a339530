"""A webhook endpoint in plain Python 3: checks the signature, prints what arrived. Nothing to install.

    WEBHOOK_SECRET=whsec_... python3 receiver.py        (PORT, default 8080)
    WEBHOOK_SECRET=whpk_... python3 receiver.py         (an ed25519 secret's public key; needs the package "cryptography")
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
MAX_BODY_BYTES = 2 * 1024 * 1024  # No message is longer.


def shared(key: bytes):
    """Whether a signature is ours, by a secret that both sides know."""

    def is_ours(content: bytes, signature: bytes) -> bool:
        expected = b"v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest())
        return hmac.compare_digest(signature, expected)

    return is_ours


def public(key: bytes):
    """Whether a signature is ours, by the public key alone."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public_key = Ed25519PublicKey.from_public_bytes(key)

    def is_ours(content: bytes, signature: bytes) -> bool:
        if not signature.startswith(b"v1a,"):
            return False
        try:
            public_key.verify(base64.b64decode(signature[4:]), content)
        except (InvalidSignature, ValueError):
            return False
        return True

    return is_ours


def is_genuine(is_ours, headers, body: bytes) -> bool:
    """Standard Webhooks 1.0: signed is "<id>.<timestamp>.<body>"; one or more signatures separated by spaces."""
    delivery_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not delivery_id or not timestamp.isdecimal():
        return False
    if abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:  # An old request, sent again.
        return False
    content = f"{delivery_id}.{timestamp}.".encode() + body
    return any(is_ours(content, signature) for signature in headers.get("webhook-signature", "").encode().split(b" "))


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Keeps connections open, so that the sender need not connect for each message.
    is_ours = None

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self.answer(413)
            return
        body = self.rfile.read(int(length))
        if not is_genuine(Receiver.is_ours, self.headers, body):
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
    kind, _, encoded = secret.partition("_")
    verifiers = {"whsec": shared, "whpk": public}
    key = base64.b64decode(encoded)
    if kind not in verifiers or len(key) < 24:  # With a secret that is empty, anybody could sign.
        sys.exit("Set WEBHOOK_SECRET to the signing secret of the job's authorization (whsec_...), or its public key (whpk_...).")
    Receiver.is_ours = verifiers[kind](key)
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
