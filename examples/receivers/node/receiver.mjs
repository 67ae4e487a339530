// A webhook endpoint in plain Node: checks the signature, prints what arrived. Nothing to install.
//
//   WEBHOOK_SECRET=whsec_… node receiver.mjs        (PORT, default 8080)
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const secret = process.env.WEBHOOK_SECRET ?? '';
if (!secret.startsWith('whsec_')) {
  console.error('Set WEBHOOK_SECRET to the signing secret of the job’s authorization (whsec_…).');
  process.exit(1);
}
const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
const TOLERANCE_SECONDS = 5 * 60;

/** Standard Webhooks 1.0: HMAC-SHA256 over "<id>.<timestamp>.<body>", one or more signatures separated by spaces. */
function isGenuine(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures } = headers;
  if (!id || !timestamp || !signatures) return false;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_SECONDS)) return false; // An old request, sent again.
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  return signatures.split(' ').some((signature) => {
    const given = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
    return signature.startsWith('v1,') && given.length === expected.length && timingSafeEqual(given, expected);
  });
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
