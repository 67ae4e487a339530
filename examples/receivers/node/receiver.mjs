// A webhook endpoint in plain Node: checks the signature, prints what arrived. Nothing to install.
//
//   WEBHOOK_SECRET=whsec_… node receiver.mjs        (PORT, default 8080)
//   WEBHOOK_SECRET=whpk_… node receiver.mjs         (the public key of an ed25519 secret)
import { createHmac, createPublicKey, timingSafeEqual, verify } from 'node:crypto';
import { createServer } from 'node:http';

const secret = process.env.WEBHOOK_SECRET ?? '';
if (!/^(whsec|whpk)_/.test(secret)) {
  console.error(
    'Set WEBHOOK_SECRET to the signing secret of the job’s authorization (whsec_…), or its public key (whpk_…).',
  );
  process.exit(1);
}
const [kind, encoded] = secret.split('_');
const key = Buffer.from(encoded, 'base64');
const TOLERANCE_SECONDS = 5 * 60;

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
  request.on('data', (chunk) => chunks.push(chunk));
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
