// npx tsx chaos/guarded.ts : a real Temporal server that asks for client certificates, then one that asks for tokens of our own issuer. Everything works for who is let in, also with payload keys, and nobody else gets in. One line for each statement; exits 1 when one does not hold.
import { createSign, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { request } from 'node:https';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPostgres } from '../demo/postgres-server.ts';
import { type Recorder, startRecorder } from '../demo/recorder.ts';
import { reasonOf, runProgram } from '../src/features/local/run-program.ts';
import { makeCertificateAuthority } from '../test/webhook/a-certificate-authority.ts';
import { type GuardedFrontend, startCluster } from './cluster.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { MAIN, Program } from './program.ts';
import { writeSource } from './stage.ts';
import { holds } from './statements.ts';
import { findTemporalServer } from './temporal-build.ts';
import { EVERYONE } from './workload.ts';

const COMMAND_MS = 60_000;
const PEOPLE = 20;
const NAME = 'temporal.test';
const JOB = 'guarded';

type Env = Readonly<Record<string, string>>;

/** Who calls, as programs and HTTP requests say it. */
interface Caller {
  readonly env: Env;
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
}

/** A server that lets some in, and those who try. */
interface Door {
  readonly what: string;
  readonly frontend: GuardedFrontend;
  /** Trusted by whoever calls. */
  readonly authority: string;
  /** What workers and whoever operates jobs call as. */
  readonly works: Caller;
  /** Sets up, where `works` may not. */
  readonly administers: Caller;
  /** May look and do nothing, where there is such a thing. */
  readonly looks?: Caller;
  readonly refused: Readonly<Record<string, Caller>>;
}

/** Files of a folder, by name, that programs are told of. */
function filed(folder: string, files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(files).map(([name, content]) => {
      const path = join(folder, name);
      writeFileSync(path, content, { mode: 0o600 });
      return [name, path];
    }),
  );
}

function certificateDoor(folder: string): Door {
  const authority = makeCertificateAuthority('Our own authority');
  const stranger = makeCertificateAuthority('Somebody else');
  const server = authority.issue({ names: [NAME, 'localhost', '127.0.0.1'] });
  const client = authority.issue({ names: ['worker.test'], isClient: true });
  const foreign = stranger.issue({ names: ['worker.test'], isClient: true });
  const paths = filed(folder, {
    'ca.crt': authority.certificate,
    'server.crt': server.certificate,
    'server.key': server.key,
    'client.crt': client.certificate,
    'client.key': client.key,
    'foreign.crt': foreign.certificate,
    'foreign.key': foreign.key,
  });
  const trusts = { TEMPORAL_TLS_SERVER_CA_CERT_PATH: paths['ca.crt'] ?? '', TEMPORAL_TLS_SERVER_NAME: NAME };
  const shows = (who: string): Env => ({
    ...trusts,
    TEMPORAL_TLS_CLIENT_CERT_PATH: paths[`${who}.crt`] ?? '',
    TEMPORAL_TLS_CLIENT_KEY_PATH: paths[`${who}.key`] ?? '',
  });
  const works = { env: shows('client'), cert: client.certificate, key: client.key };
  return {
    what: 'client certificates',
    authority: authority.certificate,
    frontend: {
      env: works.env,
      guard: {
        tls: {
          frontend: {
            server: {
              certFile: paths['server.crt'],
              keyFile: paths['server.key'],
              requireClientAuth: true,
              clientCaFiles: [paths['ca.crt']],
            },
            client: { serverName: NAME, rootCaFiles: [paths['ca.crt']] },
          },
        },
      },
    },
    works,
    administers: works,
    refused: {
      'no certificate': { env: trusts },
      "another authority's certificate": { env: shows('foreign'), cert: foreign.certificate, key: foreign.key },
    },
  };
}

/** An issuer of tokens: its public keys, at an address that the server reads. */
async function startIssuer() {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const keys = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'ours', use: 'sig', alg: 'RS256' }] };
  const server = createHttpServer((_, response) => response.end(JSON.stringify(keys)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // It listens on a port.
  const signed = (permissions: readonly string[], seconds: number, key = privateKey): string => {
    const expires = Math.floor(Date.now() / 1000) + seconds;
    const parts = [
      { alg: 'RS256', typ: 'JWT', kid: 'ours' },
      { sub: 'us', exp: expires, permissions },
    ].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
    return `${parts.join('.')}.${createSign('RSA-SHA256').update(parts.join('.')).sign(key, 'base64url')}`;
  };
  return { url: `http://127.0.0.1:${port}/keys.json`, signed, close: () => server.close() };
}

function tokenDoor(folder: string, { url, signed }: Awaited<ReturnType<typeof startIssuer>>): Door {
  const authority = makeCertificateAuthority('Our own authority');
  const server = authority.issue({ names: [NAME, 'localhost', '127.0.0.1'] });
  const paths = filed(folder, {
    'ca.crt': authority.certificate,
    'server.crt': server.certificate,
    'server.key': server.key,
  });
  const trusts = { TEMPORAL_TLS_SERVER_CA_CERT_PATH: paths['ca.crt'] ?? '', TEMPORAL_TLS_SERVER_NAME: NAME };
  const bears = (token: string): Caller => ({ env: { ...trusts, TEMPORAL_API_KEY: token }, token });
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const administers = bears(signed(['temporal-system:admin', 'default:admin'], 3600));
  return {
    what: 'tokens',
    authority: authority.certificate,
    frontend: {
      env: administers.env,
      guard: {
        tls: {
          frontend: {
            server: { certFile: paths['server.crt'], keyFile: paths['server.key'] },
            client: { serverName: NAME, rootCaFiles: [paths['ca.crt']] },
          },
        },
        authorization: {
          jwtKeyProvider: { keySourceURIs: [url], refreshInterval: '1m' },
          permissionsClaimName: 'permissions',
          authorizer: 'default',
          claimMapper: 'default',
        },
      },
    },
    administers,
    works: bears(signed(['default:write'], 3600)),
    looks: bears(signed(['default:read'], 3600)),
    refused: {
      'no token': { env: trusts },
      'a token that has expired': bears(signed(['default:write'], -60)),
      'a token of another namespace': bears(signed(['elsewhere:write'], 3600)),
      "a token that another's key signed": bears(signed(['default:write'], 3600, other)),
    },
  };
}

async function triggers(args: readonly string[], env: Env): Promise<string> {
  const { stdout } = await runProgram(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...env },
    timeoutMs: COMMAND_MS,
  });
  return stdout;
}

async function refusedFor(args: readonly string[], env: Env): Promise<void> {
  let said: string;
  try {
    said = await triggers(args, env);
  } catch (error) {
    const reason = reasonOf(error);
    if (reason.includes('exit code 1')) return console.log(`        ${reason.split('\n')[0]}`);
    throw error;
  }
  throw new Error(`it was let in: ${said}`);
}

/** One signal by the server's own HTTP API, as docs/upstreams.md has it; its status. */
async function signalByHttp(port: number, { authority }: Door, { cert, key, token }: Caller, user: string) {
  const call = request({
    host: '127.0.0.1',
    port,
    servername: NAME,
    ca: authority,
    cert,
    key,
    method: 'POST',
    path: `/api/v1/namespaces/default/workflows/export-job-${JOB}/signal/enter`,
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
  });
  call.end(
    JSON.stringify({
      input: [[{ event: 'enter', audience: EVERYONE, user, at: new Date().toISOString(), profile: {} }]],
    }),
  );
  const [answer] = (await once(call, 'response')) as [{ statusCode: number; resume: () => void }]; // As documented for the event.
  answer.resume();
  return answer.statusCode;
}

async function prove(door: Door, folder: string): Promise<void> {
  const { what, frontend, works, administers, looks, refused } = door;
  const say = (text: string): void => console.error(text);
  const programs = { temporal: await findTemporalServer(say), postgres: await findPostgres(folder) };
  const server = await startCluster(programs, folder, DEFAULT_LIMITS.dynamicConfig, { guarded: frontend });
  const receiver = await startRecorder();
  const configFile = await writeConfig(folder, receiver);
  const payloadKey = `2026-11:${randomBytes(32).toString('base64')}`;
  const common = {
    TEMPORAL_ADDRESS: server.address,
    TRIGGERS_CONFIG: configFile,
    TRIGGERS_PAYLOAD_KEYS: payloadKey,
  };
  const as = (caller: Caller): Env => ({ ...common, ...caller.env });
  let worker: Program | undefined;
  const pushing = (user: string): string[] => {
    const trigger = { audience: EVERYONE, user, event: 'enter', profile: {} };
    return [
      'push',
      JOB,
      '--file',
      filed(folder, { 'trigger.ndjson': JSON.stringify(trigger) })['trigger.ndjson'] ?? '',
    ];
  };
  const arrives = async (user: string): Promise<void> => {
    await receiver.ledger.waitFor(({ entries }) => entries.some(({ message }) => message?.user === user));
  };
  try {
    await holds(`${what}: setup by an administrator`, async () => void (await triggers(['setup'], as(administers))));
    worker = await Program.start(['worker', '--json'], { ...process.env, ...as(works) });
    await holds(`${what}: a job is started, and sends everybody who is in`, async () => {
      await triggers(['start', join(folder, 'job.json'), '--id', JOB], as(works));
      await receiver.ledger.waitFor(({ entries }) => entries.length === PEOPLE);
    });
    await holds(`${what}: what is pushed arrives`, async () => {
      await triggers(pushing('pushed'), as(works));
      await arrives('pushed');
    });
    await holds(`${what}: what the server's HTTP API is told arrives`, async () => {
      const status = await signalByHttp(server.httpPort, door, works, 'by-http');
      if (status !== 200) throw new Error(`it answered ${status}`);
      await arrives('by-http');
    });
    await holds(`${what}: a worker that takes over after the server's restart`, async () => {
      await server.restart('temporal');
      await triggers(pushing('afterwards'), as(works));
      await arrives('afterwards');
    });
    if (looks !== undefined) {
      await holds(`${what}: who may look sees the jobs`, async () => {
        const said = await triggers(['list', '--json'], as(looks));
        if (!said.includes(JOB)) throw new Error(said);
      });
      await holds(`${what}: who may look signals nothing`, async () => {
        await refusedFor(pushing('intruder'), as(looks));
        const status = await signalByHttp(server.httpPort, door, looks, 'intruder');
        if (status !== 403) throw new Error(`HTTP answered ${status}`);
      });
    }
    for (const [who, caller] of Object.entries(refused))
      await holds(`${what}: ${who}: neither sees nor signals`, async () => {
        await refusedFor(['list'], as(caller));
        await refusedFor(['worker'], as(caller));
        await refusedFor(pushing('intruder'), as(caller));
        const status = await signalByHttp(server.httpPort, door, caller, 'intruder').catch(() => 0);
        if (status !== 0 && status !== 401 && status !== 403) throw new Error(`HTTP answered ${status}`);
      });
    await holds(`${what}: nothing of an intruder arrived`, async () => {
      await triggers(pushing('last'), as(works));
      await arrives('last');
      if (receiver.ledger.entries.some(({ message }) => message?.user === 'intruder')) throw new Error('it did');
    });
  } finally {
    await worker?.kill();
    await server.stop();
    await receiver.close();
  }
}

async function writeConfig(folder: string, receiver: Recorder): Promise<string> {
  const source = join(folder, 'source');
  await writeSource(source, PEOPLE);
  const job = {
    label: 'Guarded',
    audiences: [EVERYONE],
    webhookUrl: receiver.url,
    authorization: null,
    existingUsers: true,
  };
  writeFileSync(join(folder, 'job.json'), JSON.stringify(job));
  const configFile = join(folder, 'triggers.config.json');
  const config = {
    source: { kind: 'file', folder: source },
    logLevel: 'error',
    network: { allowHttp: true, allowAddresses: ['127.0.0.0/8'] },
  };
  writeFileSync(configFile, JSON.stringify(config));
  return configFile;
}

async function inFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'audience-triggers-guarded-'));
  try {
    await act(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await inFolder(async (folder) => await prove(certificateDoor(folder), folder));
const issuer = await startIssuer();
await inFolder(async (folder) => await prove(tokenDoor(folder, issuer), folder));
issuer.close();
