// Runs in a container: prints each request as a line of JSON when it comes, and another one when it is answered. A person "slow-…" waits for 12 s, longer than Docker does by default before it kills.
import { createServer } from 'node:http';

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const id = request.headers['webhook-id'];
    const { id: user } = JSON.parse(Buffer.concat(chunks).toString());
    const { authorization } = request.headers;
    print({ id, user, what: 'came', at: Date.now(), authorization });
    setTimeout(() => response.end(() => print({ id, user, what: 'answered' })), user.startsWith('slow-') ? 12_000 : 0);
  });
}).listen(9000, () => print({ what: 'ready' }));
