import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import type { SecureVersion, TlsOptions, TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { judge } from '../../src/domain/verdict.ts';
import { type HttpAttempt, type Poster } from '../../src/webhook/attempt.ts';
import { NetworkPolicy, type NetworkRules } from '../../src/network/network-policy.ts';
import { type Issued, makeCertificateAuthority, signItself } from '../webhook/a-certificate-authority.ts';
import { startProxy } from '../webhook/a-proxy.ts';
import { serve } from '../webhook/a-server.ts';
import { aPoster, attemptOf, onThisMachine } from '../webhook/an-attempt.ts';
import { tempFolder } from '../support/temp-folder.ts';

const OURS = makeCertificateAuthority('Ours');
const OTHER = makeCertificateAuthority('Another');
const NAME = 'hook.example';
const GOOD = OURS.issue({ names: [NAME] });

const RULES: NetworkRules = {
  allowHttp: false,
  allowAddresses: ['127.0.0.1'],
  allowPorts: ['1-65535'],
  certificateAuthorities: [OURS.certificate],
};

/** An endpoint that counts its requests and remembers the names for which connections were opened. */
async function startEndpoint({ certificate, key }: Issued, options: TlsOptions = {}, body = '') {
  const hosts: (string | undefined)[] = [];
  const names: (string | false | null)[] = [];
  const clients: (string | string[] | undefined)[] = [];
  const server = createServer(
    { cert: certificate, key, requestCert: true, rejectUnauthorized: false, ...options },
    ({ headers }, response) => {
      hosts.push(headers.host);
      response.end(body);
    },
  );
  server.on('secureConnection', (socket: TLSSocket) => {
    names.push(socket.servername);
    clients.push(socket.getPeerCertificate().subject?.CN);
  });
  const { port } = await serve(server);
  return { url: `https://${NAME}:${port}/`, port, hosts, names, clients };
}

function posterWith(rules: Partial<NetworkRules> = {}): Poster {
  return aPoster({ policy: new NetworkPolicy({ ...RULES, ...rules }), lookUp: onThisMachine });
}

const post = (url: string, rules?: Partial<NetworkRules>): Promise<HttpAttempt> =>
  attemptOf(posterWith(rules), url, [], '{}');

const DELIVERED = { ok: true, status: 200 };

test('[S19] a certificate is verified for the name in the URL, although the connection goes to an address that was checked', async () => {
  const endpoint = await startEndpoint(GOOD);
  expect(await post(endpoint.url)).toMatchObject(DELIVERED);
  expect(endpoint.names).toEqual([NAME]);
  expect(endpoint.hosts).toEqual([`${NAME}:${endpoint.port}`]);
});

test('answers over one TLS connection are measured separately, however many they are', async () => {
  const endpoint = await startEndpoint(GOOD, {}, 'x'.repeat(60_000));
  const poster = posterWith();
  for (let i = 0; i < 40; i++) expect(await attemptOf(poster, endpoint.url, [], '{}')).toMatchObject(DELIVERED);
  expect(endpoint.names.length).toBeLessThanOrEqual(2);
});

test('[S19] an address in a URL needs a certificate for that address', async () => {
  const named = await startEndpoint(OURS.issue({ names: ['127.0.0.1'] }));
  expect(await post(`https://127.0.0.1:${named.port}/`)).toMatchObject(DELIVERED);
  const other = await startEndpoint(GOOD);
  expect(await post(`https://127.0.0.1:${other.port}/`)).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
});

const AN_HOUR_AGO = new Date(Date.now() - 3_600_000);
const BAD: readonly (readonly [what: string, issued: Issued, code: string])[] = [
  ['that is self-signed', signItself({ names: [NAME] }), 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['for another name', OURS.issue({ names: ['other.example'] }), 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ['for the address alone', OURS.issue({ names: ['127.0.0.1'] }), 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ['that has expired', OURS.issue({ names: [NAME], notAfter: AN_HOUR_AGO }), 'CERT_HAS_EXPIRED'],
  ['of an unknown authority', OTHER.issue({ names: [NAME] }), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ['for a client', OURS.issue({ names: [NAME], isClient: true }), 'INVALID_PURPOSE'],
];

test.each(BAD)(
  '[S19] nothing is sent to an endpoint with a certificate %s, and only a person can correct it',
  async (_, issued, code) => {
    const endpoint = await startEndpoint(issued);
    const attempt = await post(endpoint.url);
    expect(attempt).toMatchObject({ ok: false, code });
    expect(attempt.ok ? '' : judge(attempt)).toBe('misconfigured');
    expect(endpoint.hosts).toEqual([]);
  },
);

test('[S19] through a proxy, TLS is verified end to end, for the name and not the address', async () => {
  const proxy = await startProxy();
  const good = await startEndpoint(GOOD);
  expect(await post(good.url, { proxy: proxy.url })).toMatchObject(DELIVERED);
  expect(proxy.asked).toEqual([`127.0.0.1:${good.port}`]);
  expect(good.names).toEqual([NAME]);
  for (const [, issued, code] of BAD) {
    const bad = await startEndpoint(issued);
    expect(await post(bad.url, { proxy: proxy.url })).toMatchObject({ ok: false, code });
    expect(bad.hosts).toEqual([]);
  }
});

test('[S19] a proxy that speaks TLS is verified by its own name before it learns the destination', async () => {
  const endpoint = await startEndpoint(GOOD);
  const good = await startProxy({ issued: OURS.issue({ names: ['localhost'] }) });
  expect(await post(endpoint.url, { proxy: good.url })).toMatchObject(DELIVERED);
  expect(good.names).toEqual(['localhost']);
  for (const issued of [OTHER.issue({ names: ['localhost'] }), GOOD]) {
    const bad = await startProxy({ issued });
    expect(await post(endpoint.url, { proxy: bad.url })).toMatchObject({ ok: false, code: 'PROXY_FAILED' });
    expect(bad.asked).toEqual([]);
  }
  expect(endpoint.hosts).toHaveLength(1);
});

test('a client certificate is presented to the endpoint, but not to the proxy on the way', async () => {
  const client = OURS.issue({ names: ['client-1'], isClient: true });
  const endpoint = await startEndpoint(GOOD);
  const proxy = await startProxy({ issued: OURS.issue({ names: ['localhost'] }) });
  const poster = posterWith({ proxy: proxy.url });
  const attempt = await new Promise((resolve) =>
    poster.post(new URL(endpoint.url), { headers: [], body: '{}', identity: client }, 10_000, resolve),
  );
  expect(attempt).toMatchObject(DELIVERED);
  expect([endpoint.clients, proxy.clients]).toEqual([['client-1'], [undefined]]);
});

/** Posts once, from a separate process with these options of Node and this environment. */
async function postFromElsewhere(url: string, rules: NetworkRules, options: string[], env: NodeJS.ProcessEnv) {
  const source = (name: string) => JSON.stringify(new URL(`../../src/${name}.ts`, import.meta.url).href);
  const code = `
    import { NetworkPolicy } from ${source('network/network-policy')};
    import { createPoster } from ${source('webhook/attempt')};
    import { GuardedAgents } from ${source('network/guarded-agents')};
    const policy = new NetworkPolicy(${JSON.stringify(rules)});
    const lookUp = (_, __, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]);
    const poster = createPoster({ agents: new GuardedAgents({ timeoutMs: 10_000, policy, lookUp }), timeoutMs: 10_000 });
    poster.post(new URL(${JSON.stringify(url)}), { headers: [], body: '{}' }, 10_000, (attempt) => {
      console.log(JSON.stringify(attempt));
      void poster.close();
    });`;
  const args = [...options, '--import', import.meta.resolve('tsx'), '--input-type=module', '-e', code];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...env } });
  return JSON.parse(stdout) as HttpAttempt; // It printed nothing else.
}

test('[S19] no variable of the environment turns verification off, for an endpoint or for a proxy', async () => {
  const off = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
  const bad = await startEndpoint(OTHER.issue({ names: [NAME] }));
  const unknown = { ok: false, code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' };
  expect(await postFromElsewhere(bad.url, RULES, [], off)).toMatchObject(unknown);
  const tunnel = await startProxy();
  expect(await postFromElsewhere(bad.url, { ...RULES, proxy: tunnel.url }, [], off)).toMatchObject(unknown);
  const proxy = await startProxy({ issued: OTHER.issue({ names: ['localhost'] }) });
  const failed = { ok: false, code: 'PROXY_FAILED' };
  expect(await postFromElsewhere(bad.url, { ...RULES, proxy: proxy.url }, [], off)).toMatchObject(failed);
  expect([bad.hosts, proxy.asked]).toEqual([[], []]);
});

test.each<[SecureVersion, object]>([
  ['TLSv1.1', { ok: false, code: expect.stringMatching(/^ERR_SSL_/) }],
  ['TLSv1.2', DELIVERED],
])(
  '[S19] with a server that speaks %s at most, the outcome is the same whatever options Node has',
  async (version, came) => {
    const endpoint = await startEndpoint(GOOD, {
      minVersion: version,
      maxVersion: version,
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    expect(await post(endpoint.url)).toMatchObject(came);
    const options = ['--tls-min-v1.0', '--tls-cipher-list=DEFAULT@SECLEVEL=0'];
    expect(await postFromElsewhere(endpoint.url, RULES, options, {})).toMatchObject(came);
  },
);

test.each<[string, TlsOptions]>([
  ['1.2', { maxVersion: 'TLSv1.2', ciphers: 'DHE-RSA-AES128-GCM-SHA256', dhparam: 'auto' }],
  ['1.3', { minVersion: 'TLSv1.3', ecdhCurve: 'ffdhe8192' }],
])(
  '[S29] the worker refuses Diffie-Hellman over primes by TLS %s: servers could choose how long it computes',
  async (_, wanted) => {
    const endpoint = await startEndpoint(GOOD, wanted);
    const attempt = await post(endpoint.url);
    expect(attempt).toMatchObject({ ok: false, code: expect.stringMatching(/^ERR_SSL_.*HANDSHAKE_FAILURE$/) });
    expect(attempt.ok ? '' : judge(attempt)).toBe('misconfigured');
  },
);

test('the authorities of NODE_EXTRA_CA_CERTS are trusted, whether others are added or not', async () => {
  const folder = tempFolder();
  const file = join(folder, 'extra.pem');
  writeFileSync(file, `${OURS.certificate}\n${OTHER.certificate}`);
  const endpoint = await startEndpoint(OTHER.issue({ names: [NAME] }));
  for (const certificateAuthorities of [[], [OURS.certificate]]) {
    const rules = { ...RULES, certificateAuthorities };
    expect(await postFromElsewhere(endpoint.url, rules, [], { NODE_EXTRA_CA_CERTS: file })).toMatchObject(DELIVERED);
  }
});
