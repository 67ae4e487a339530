import { createPrivateKey, randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { findPostgres } from '../../../demo/postgres-server.ts';
import { root } from '../../docs/pages.ts';
import { answerWhen } from '../../support/patience.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { makeCertificateAuthority } from '../../webhook/a-certificate-authority.ts';
import { apply, get, kubectl, namespace, ready, run, secret, server } from './cluster.ts';

export const TEMPORAL_TLS = 'temporal-tls.temporal.svc.cluster.local';
export const CODEC_TOKEN = 'a-token-of-24-characters';

/** The database and the way to Temporal of production.yaml, each with TLS. */
export async function prepareProduction(): Promise<Client> {
  const authority = makeCertificateAuthority();
  const people = 'people.databases.svc.cluster.local';
  const database = authority.issue({ names: [people] });
  const temporal = authority.issue({ names: [TEMPORAL_TLS] });
  const client = authority.issue({ names: ['worker'], isClient: true });
  const folder = tempFolder();
  const { initdb } = await findPostgres(folder);
  chmodSync(folder, 0o755);
  await apply(
    ...['databases', 'ingress-nginx'].map((name) => namespace(name)),
    namespace('production', { restricted: true }),
    ...server({
      namespace: 'databases',
      name: 'people',
      port: 5432,
      folders: { [folder]: folder },
      files: { '/tls/server.crt': database.certificate, '/tls/server.key': database.key, '/tls/password': 'postgres' },
      command: [
        'sh',
        '-ec',
        `cp /tls/server.* /tmp; chmod 600 /tmp/server.key
         ${initdb} --pgdata /tmp/data --username postgres --pwfile /tls/password --auth scram-sha-256
         echo 'hostssl all all all scram-sha-256' >>/tmp/data/pg_hba.conf
         exec ${dirname(initdb)}/postgres -D /tmp/data -h 0.0.0.0 -k /tmp --ssl=on --ssl_cert_file=/tmp/server.crt --ssl_key_file=/tmp/server.key`,
      ],
    }),
    ...server({
      namespace: 'temporal',
      name: 'temporal-tls',
      port: 7233,
      files: { '/tls/crt': temporal.certificate, '/tls/key': temporal.key, '/tls/ca': authority.certificate },
      command: [
        'node',
        '-e',
        `const [cert, key, ca] = ['crt', 'key', 'ca'].map((name) => require('fs').readFileSync('/tls/' + name));
         const terms = { cert, key, ca, requestCert: true, rejectUnauthorized: true, ALPNProtocols: ['h2'] };
         require('tls').createServer(terms, (socket) => {
           const other = require('net').connect(7233, 'temporal-frontend');
           socket.pipe(other).pipe(socket);
           for (const one of [socket, other]) one.on('error', () => { socket.destroy(); other.destroy(); });
         }).listen(7233)`,
      ],
    }),
    ...server({
      namespace: 'ingress-nginx',
      name: 'controller',
      port: 9000,
      command: ['node', '-e', 'require("http").createServer().listen(9000)'],
    }),
    secret('production', 'temporal-ca', { 'ca.crt': authority.certificate }),
    secret('production', 'temporal-client', { 'tls.crt': client.certificate, 'tls.key': client.key }),
    secret('production', 'databases-ca', { 'ca.crt': authority.certificate }),
    secret('production', 'triggers-payload-keys', { keys: `2026-12:${randomBytes(32).toString('base64')}` }),
    secret('production', 'people-database', { password: 'p' }),
    secret('production', 'outbox-database', { password: 'o' }),
    secret('production', 'log-database', { password: 'l' }),
    secret('production', 'chat', { url: 'https://chat.example.com/hook' }),
    secret('production', 'crm', { token: 'first', signing: `whsec_${randomBytes(32).toString('base64')}` }),
    secret('production', 'triggers-codec', { token: CODEC_TOKEN }),
  );
  await Promise.all([
    ready('databases', 'people'),
    ready('temporal', 'temporal-tls'),
    ready('ingress-nginx', 'controller'),
  ]);
  const { spec } = await get<{ spec: { clusterIP: string } }>('service people --namespace databases');
  const connectTo = async (name: string) => {
    const ssl = { ca: authority.certificate, servername: people };
    const client = new Client({ host: spec.clusterIP, user: 'postgres', password: 'postgres', database: name, ssl });
    await client.connect();
    return client;
  };
  // A node may hear of the Service a moment later than of its pod.
  const tried = () => connectTo('postgres').catch(() => undefined);
  const first = await answerWhen(tried, (client) => client !== undefined, 500);
  await first?.query('CREATE DATABASE people');
  await first?.query("CREATE ROLE log LOGIN PASSWORD 'l'");
  await first?.query('CREATE DATABASE log OWNER log');
  await first?.end();
  const owner = await connectTo('people');
  for (const name of ['schema', 'outbox'])
    await owner.query(readFileSync(join(root, `examples/postgres/${name}.sql`), 'utf8'));
  await owner.query(`CREATE ROLE triggers LOGIN PASSWORD 'p' IN ROLE pg_read_all_data;
    CREATE ROLE outbox LOGIN PASSWORD 'o' IN ROLE audience_triggers_outbox`);
  return owner;
}

/** The broker and the topics of kafka.yaml, in a pod that has Java and the jars from this machine. @returns its authority's certificate */
export async function prepareKafka(password: string): Promise<string> {
  const authority = makeCertificateAuthority();
  const { certificate, key } = authority.issue({ names: ['kafka-0.kafka.svc.cluster.local'] });
  const { stdout } = await run('readlink --canonicalize "$(command -v java)"');
  const java = dirname(dirname(stdout.trim()));
  const settings = `listeners=SASL_SSL://0.0.0.0:9093,PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9094
    advertised.listeners=SASL_SSL://kafka-0.kafka.svc.cluster.local:9093,PLAINTEXT://127.0.0.1:9092
    listener.security.protocol.map=SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
    sasl.enabled.mechanisms=SCRAM-SHA-512
    listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
    ssl.keystore.type=PEM
    ssl.keystore.location=/tls/broker`;
  const settingsPerFolder = dirname(realpathSync(`${java}/lib/jvm.cfg`));
  await apply(
    namespace('kafka'),
    ...server({
      namespace: 'kafka',
      name: 'kafka-0',
      port: 9093,
      folders: {
        '/ops': join(root, 'ops'),
        '/node_modules': join(root, 'node_modules'),
        '/cache/audience-triggers': join(
          process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
          'audience-triggers',
        ),
        [java]: java,
        [settingsPerFolder]: settingsPerFolder,
      },
      files: {
        '/tls/broker': `${createPrivateKey(key).export({ type: 'pkcs8', format: 'pem' }).toString()}${certificate}`,
        '/settings': settings.replace(/^\s+/gm, ''),
      },
      command: [
        'sh',
        '-ec',
        `export PATH=${java}/bin:$PATH XDG_CACHE_HOME=/cache KAFKA_FORMAT=--add-scram=SCRAM-SHA-512=[name=triggers,password=${password}]
         exec /ops/kafka/broker.sh /tmp/kafka 9092 9094 /settings`,
      ],
    }),
  );
  await ready('kafka', 'kafka-0');
  const topics = '["audience-changes", "audience-changes-dead"]';
  await inBroker(`new Admin(broker).createTopics({ topics: ${topics}, partitions: 3, replicas: 1 })`);
  return authority.certificate;
}

/** Awaits an expression in the broker's pod, which no policy shuts in. */
export async function inBroker(expression: string): Promise<void> {
  const script = `const { Admin, Producer } = require("@platformatic/kafka");
    const broker = { clientId: "test", bootstrapBrokers: ["127.0.0.1:9092"] };
    (${expression}).then(() => process.exit())`;
  await kubectl(`--namespace kafka exec deployment/kafka-0 -- node -e '${script}'`);
}
