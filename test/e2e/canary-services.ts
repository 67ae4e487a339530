import { createPrivateKey } from 'node:crypto';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { type Answered, type Asked, type JsonServer, startJsonServer } from '../sources/a-json-server.ts';
import { type Collector, startCollector } from '../features/spans/a-collector.ts';
import { makeCertificateAuthority } from '../webhook/a-certificate-authority.ts';
import { type Proxy, startProxy } from '../webhook/a-proxy.ts';
import { afterwards, listen } from '../webhook/a-server.ts';
import { KEPT, SENT } from './canaries.ts';

const AUTHORITY = makeCertificateAuthority();
const CLIENT = AUTHORITY.issue({ names: ['client.example'], isClient: true });
const LOCKED_KEY = createPrivateKey(CLIENT.key).export({
  type: 'pkcs8',
  format: 'pem',
  cipher: 'aes-256-cbc',
  passphrase: KEPT.passphrase,
});
/** Of the client certificate's key a line of base64, as it is and as it stands in the file. */
export const KEY_LINES = [CLIENT.key, LOCKED_KEY.toString()].map((pem) => pem.split('\n')[2] ?? '');

/** Whom workers send to, ask and tell. Each says back all that it was sent, at least where it fails, and each fails at first. */
export interface CanaryServices {
  /** Requests that jobs' endpoints got. */
  readonly seen: IncomingMessage[];
  readonly plain: string;
  /** By https, and with a client certificate. */
  readonly secure: string;
  readonly source: JsonServer;
  readonly tokens: JsonServer;
  readonly alerts: JsonServer;
  readonly proxy: Proxy;
  readonly collector: Collector;
}

export async function startCanaryServices(): Promise<CanaryServices> {
  const seen: IncomingMessage[] = [];
  const { certificate: cert, key } = AUTHORITY.issue({ names: ['127.0.0.1'] });
  const tls = { cert, key, ca: AUTHORITY.certificate, requestCert: true };
  const failing = (status: number) => (asked: Asked) => ({ status, text: echoOf(asked) });
  const source = await startJsonServer(({ url }) => ({ json: url.pathname === '/members' ? ['member'] : {} }));
  source.before.push(...[500, 500, 403].map(failing));
  const first = [SENT.token];
  const tokens = await startJsonServer((): Answered => {
    const access_token = first.shift() ?? SENT.nextToken;
    return { json: { access_token, token_type: 'bearer', expires_in: 3600 } };
  });
  tokens.before.push((asked) => ({
    status: 401,
    json: { error: 'invalid_client', error_description: echoOf(asked) },
  }));
  const alerts = await startJsonServer(() => ({ json: {} }));
  alerts.before.push(...[500, 403].map(failing));
  return {
    seen,
    plain: `http://127.0.0.1:${await opened(createServer(echoing(seen)))}`,
    secure: `https://127.0.0.1:${await opened(createHttpsServer(tls, echoing(seen)))}`,
    source,
    tokens,
    alerts,
    proxy: await startProxy({ way: ['refuses', 'cannot reach'] }),
    collector: await startCollector(),
  };
}

/** An endpoint that takes everything from the second attempt on, refuses one person and a token, and at first does not answer another. */
function echoing(seen: IncomingMessage[]): RequestListener {
  const attempts = new Map<string, number>();
  return (request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      seen.push(request);
      const { authorization = '', 'x-api-key': key = '', 'webhook-signature': signature = '' } = request.headers;
      const id = String(request.headers['webhook-id']);
      attempts.set(id, (attempts.get(id) ?? 0) + 1);
      if (body.includes('"id":"hangs"') && attempts.get(id) === 1) return;
      const refused = authorization.endsWith(SENT.token) ? 401 : body.includes('"id":"refused"') ? 422 : undefined;
      const [user = ''] = Buffer.from(authorization.replace('Basic ', ''), 'base64').toString().split(':');
      const echo = `${String(key)} ${authorization} ${user} ${request.url} ${String(signature)}`;
      response.writeHead(refused ?? (attempts.get(id) === 1 ? 500 : 200)).end(echo);
    });
  };
}

async function opened(server: Server): Promise<number> {
  const port = await listen(server);
  afterwards(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return port;
}

export const echoOf = ({ url, headers, body }: Asked): string => JSON.stringify([url.href, headers, body]);

/** Every kind of authorization, each for a job of its own; values from the file and from files beside it. */
export function canaryConfiguration(services: CanaryServices, write: (name: string, text: string) => string): object {
  const { plain, secure, source, tokens, alerts, proxy, collector } = services;
  const clientCertificate = {
    certificate: write('client.crt', CLIENT.certificate),
    key: write('client.key', LOCKED_KEY.toString()),
    passphrase: KEPT.passphrase,
  };
  const through = new URL(proxy.url);
  through.password = SENT.proxy;
  const toPlain = (more: object): object => ({ origins: [plain], ...more });
  return {
    authorizations: {
      headers: toPlain({ headers: { 'x-api-key': write('key', SENT.header) } }),
      query: toPlain({ queryParameters: { key: SENT.query } }),
      basic: toPlain({ basic: { username: SENT.user, password: SENT.password } }),
      bearer: toPlain({ bearer: SENT.bearer }),
      oauth2: toPlain({ oauth2: { tokenUrl: `${tokens.url}/token`, clientId: 'me', clientSecret: KEPT.client } }),
      signed: toPlain({ signingSecrets: [KEPT.signing, KEPT.ed25519] }),
      mtls: { origins: [secure], clientCertificate },
      alerts: { origins: [alerts.url], headers: { 'x-alert': SENT.alertHeader } },
    },
    network: {
      allowHttp: true,
      allowAddresses: ['127.0.0.0/8'],
      certificateAuthorities: [write('ca.crt', AUTHORITY.certificate)],
      proxy: through.href,
    },
    source: {
      kind: 'http',
      url: source.url,
      headers: { 'x-source': SENT.sourceHeader },
      audiences: [{ id: 'vip', name: 'VIP' }],
      members: { url: `/members?of={audience}&access=${SENT.sourceQuery}` },
      profiles: { url: `/people/{user}?access=${SENT.sourceQuery}` },
    },
    alerts: { url: `${alerts.url}/${SENT.alertPath}`, authorization: 'alerts' },
    tracing: { endpoint: collector.url, headers: { 'x-collector': SENT.collector } },
    metrics: { port: 0 },
    requestTimeoutMs: 2000,
  };
}
