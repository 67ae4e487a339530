import { createSocket } from 'node:dgram';
import { type LookupAddress, Resolver } from 'node:dns';
import { once } from 'node:events';
import { isIP } from 'node:net';
import type { LookUp } from '../../src/network/network-policy.ts';
import { afterwards } from './a-server.ts';

const HEADER_BYTES = 12;
const TYPES = { 4: 1, 6: 28 } as const;

/**
 * A name server that answers each look-up with the next of `answers`, and with the last one from then on. It never answers for names with "silent" in
 * them, and not to the first query for a name with "lost" in it.
 */
export async function startDnsServer(...answers: (readonly string[])[]) {
  const socket = createSocket('udp4');
  const lost = new Set<string>();
  let asked = 0;
  socket.on('message', (question, { port, address }) => {
    const end = question.indexOf(0, HEADER_BYTES) + 5;
    const name = question.toString('latin1', HEADER_BYTES, end);
    if (name.includes('silent') || (name.includes('lost') && !lost.has(name))) return void lost.add(name);
    const family = question.readUInt16BE(end - 4) === TYPES[6] ? 6 : 4;
    // One look-up consists of a query for each family.
    const all = answers[Math.min(Math.floor(asked++ / 2), answers.length - 1)] ?? [];
    const wanted = all.filter((one) => isIP(one) === family);
    const header = Buffer.from(question.subarray(0, HEADER_BYTES));
    header.writeUInt16BE(0x8180, 2);
    header.writeUInt16BE(wanted.length, 6);
    header.writeUInt32BE(0, 8);
    const records = wanted.map((one) => record(one, family));
    socket.send(Buffer.concat([header, question.subarray(HEADER_BYTES, end), ...records]), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  afterwards(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  const resolver = new Resolver({ timeout: 2000, tries: 1 });
  const address = `127.0.0.1:${socket.address().port}`;
  resolver.setServers([address]);
  return { address, lookUp: lookUpBy(resolver), looked: () => asked / 2 };
}

function record(address: string, family: 4 | 6): Buffer {
  const data = family === 4 ? Buffer.from(address.split('.').map(Number)) : bytesOf(address);
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUInt16BE(0xc00c, 0); // The name of the question.
  head.writeUInt16BE(TYPES[family], 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

/** The bytes of an address that is written in full or with one `::`. */
function bytesOf(address: string): Buffer {
  const [front = '', back = ''] = address.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const [before, after] = [groups(front), groups(back)];
  const all = [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
  const bytes = Buffer.alloc(16);
  for (const [index, group] of all.entries()) bytes.writeUInt16BE(group, index * 2);
  return bytes;
}

/** Like `dns.lookup` with `all`, but with a resolver of our own. */
function lookUpBy(resolver: Resolver): LookUp {
  return (hostname, _, callback) => {
    const found: LookupAddress[] = [];
    resolver.resolve4(hostname, (_error, fours: string[] | undefined) => {
      found.push(...(fours ?? []).map((address) => ({ address, family: 4 })));
      resolver.resolve6(hostname, (error, sixes: string[] | undefined) => {
        found.push(...(sixes ?? []).map((address) => ({ address, family: 6 })));
        callback(found.length === 0 ? error : null, found);
      });
    });
  };
}
