// A webhook endpoint in plain Node: checks the signature, prints what arrived. Nothing to install.
//
//   WEBHOOK_SECRET=whsec_… node receiver.mjs        (PORT, default 8080)
//   WEBHOOK_SECRET=whpk_… node receiver.mjs         (the public key of an ed25519 secret)
import { createHmac, createPublicKey, timingSafeEqual, verify } from 'node:crypto';
import { createServer } from 'node:http';

const [kind, encoded = ''] = (process.env.WEBHOOK_SECRET ?? '').split('_');
const key = Buffer.from(encoded, 'base64');
// With a secret that is empty, anybody could sign.
if (!(kind === 'whsec' ? key.length >= 24 : kind === 'whpk' && key.length === 32)) {
  console.error(
    'Set WEBHOOK_SECRET to the signing secret of the job’s authorization (whsec_…), or its public key (whpk_…).',
  );
  process.exit(1);
}
const TOLERANCE_SECONDS = 5 * 60;
const MAX_BODY_BYTES = 2 * 1024 * 1024; // No message is longer.

/** Standard Webhooks 1.0: over "<id>.<timestamp>.<body>", HMAC-SHA256 or ed25519; one or more signatures separated by spaces. */
function isGenuine(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures } = headers;
  if (!id || !timestamp || !signatures) return false;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_SECONDS)) return false; // An old request, sent again.
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  return signatures.split(' ').some((signature) => {
    const [version, value = ''] = signature.split(',');
    return (kind === 'whpk' ? version === 'v1a' : version === 'v1') && isOurs(content, Buffer.from(value, 'base64'));
  });
}

function isOurs(content, signature) {
  if (kind === 'whpk') {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: key.toString('base64url') };
    return verify(null, content, createPublicKey({ key: jwk, format: 'jwk' }), signature);
  }
  const expected = createHmac('sha256', key).update(content).digest();
  return signature.length === expected.length && timingSafeEqual(signature, expected);
}

const server = createServer((request, response) => {
  const chunks = [];
  let bytes = 0;
  request.on('data', (chunk) => {
    bytes += chunk.length;
    if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
    else request.destroy();
  });
  request.on('end', () => {
    const body = Buffer.concat(chunks);
    if (!isGenuine(request.headers, body)) return response.writeHead(401).end('wrong signature\n');
    const message = JSON.parse(body.toString());
    // Both payload formats. The id is text: as a number it would lose digits.
    for (const { event, slug } of message.segment_events ?? message.data.segment_events) {
      console.log(`${event} ${slug} ${message.id} (${String(request.headers['webhook-id'])})`);
    }
    response.writeHead(204).end();
  });
});
server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
