import { createPrivateKey } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AclOperations, AclPermissionTypes, ResourcePatternTypes, ResourceTypes } from '@platformatic/kafka';
import { kafkaSchema } from '../../../src/features/consumers/config.ts';
import { startKafka } from '../../../src/features/consumers/kafka.ts';
import { ConsumerMetrics } from '../../../src/features/consumers/handover.ts';
import type { CheckedTrigger } from '../../../src/client/push/job-pusher.ts';
import { freePort } from '../../../src/network/free-ports.ts';
import { describeWithKafka, TestKafka } from '../../support/kafka.ts';
import { until } from '../../support/patience.ts';
import { makeCertificateAuthority } from '../../webhook/a-certificate-authority.ts';
import { Said } from './a-consumer.ts';

const PLAIN =
  'org.apache.kafka.common.security.plain.PlainLoginModule required user_consumer="plain-secret" user_stranger="plain-secret" user_reader="plain-secret";';
const SCRAM = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';

describeWithKafka('a broker that wants to know who asks', () => {
  const authority = makeCertificateAuthority();
  const ofBroker = authority.issue({ names: ['127.0.0.1', 'localhost'] });
  const ofClient = authority.issue({ names: ['consumer'], isClient: true });
  let kafka: TestKafka;
  let sasl: number;
  let mutual: number;
  let topic: string;

  beforeAll(async () => {
    [sasl, mutual] = [await freePort(), await freePort()];
    const listeners = (port: number) =>
      `PLAINTEXT://127.0.0.1:${port},SASL://127.0.0.1:${sasl},MUTUAL://127.0.0.1:${mutual}`;
    kafka = await TestKafka.start({
      format: '--add-scram=SCRAM-SHA-512=[name=consumer,password=scram-secret]',
      properties: (port, controllerPort) => [
        `listeners=${listeners(port)},CONTROLLER://127.0.0.1:${controllerPort}`,
        `advertised.listeners=${listeners(port)}`,
        'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL',
        'listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512',
        `listener.name.sasl.plain.sasl.jaas.config=${PLAIN}`,
        `listener.name.sasl.scram-sha-512.sasl.jaas.config=${SCRAM}`,
        'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users=User:ANONYMOUS;User:consumer;User:CN=consumer',
        'listener.name.mutual.ssl.client.auth=required',
        'ssl.keystore.type=PEM',
        `ssl.keystore.certificate.chain=${inOneLine(ofBroker.certificate)}`,
        `ssl.keystore.key=${inOneLine(pkcs8(ofBroker.key))}`,
        'ssl.truststore.type=PEM',
        `ssl.truststore.certificates=${inOneLine(authority.certificate)}`,
      ],
    });
    topic = await kafka.topic();
    const creations = [AclOperations.READ, AclOperations.DESCRIBE].map((operation) => ({
      resourceType: ResourceTypes.TOPIC,
      resourceName: topic,
      resourcePatternType: ResourcePatternTypes.LITERAL,
      principal: 'User:reader',
      host: '*',
      operation,
      permissionType: AclPermissionTypes.ALLOW,
    }));
    await kafka.broker.admin.createAcls({ creations });
  });
  afterAll(async () => await kafka?.stop());

  async function consumed(port: number, settings: object): Promise<CheckedTrigger[]> {
    const group = `group-${JSON.stringify(settings).length}-${port}`;
    const config = kafkaSchema.parse({
      brokers: [`127.0.0.1:${port}`],
      topics: [topic],
      group,
      from: 'earliest',
      ...settings,
    });
    const taken: CheckedTrigger[] = [];
    const handover = {
      give: async (triggers: readonly CheckedTrigger[]) => {
        taken.push(...triggers);
        return await Promise.resolve([]);
      },
      nameOf: async ([name]: readonly [string, ...string[]]) => await Promise.resolve(name),
    };
    const consumer = await startKafka({ config, handover, log: new Said(), metrics: new ConsumerMetrics() });
    try {
      await kafka.write(topic, [{ value: { audience: 'vip', user: 'u', event: 'enter' } }]);
      await until(() => taken.length > 0 || consumer.problem !== undefined);
      if (consumer.problem !== undefined) throw new Error(`It goes on: ${consumer.problem}`);
      return taken;
    } finally {
      await consumer.stop();
    }
  }

  const certificateAuthorities = [authority.certificate];
  const tls = { certificateAuthorities };
  const clientCertificate = { certificate: ofClient.certificate, key: ofClient.key };
  const user = (mechanism: string, password: string): object => ({ mechanism, username: 'consumer', password });

  test.each([
    ['plain', user('plain', 'plain-secret')],
    ['scram-sha-512', user('scram-sha-512', 'scram-secret')],
  ])('is told by %s, over TLS', async (_, proof) => {
    expect((await consumed(sasl, { tls, sasl: proof })).length).toBeGreaterThan(0);
  });

  test('is shown a certificate of the client', async () => {
    expect((await consumed(mutual, { tls: { certificateAuthorities, clientCertificate } })).length).toBeGreaterThan(0);
  });

  test.each([
    ['a wrong password', { tls, sasl: user('plain', 'wrong-secret') }, 'Correct "kafka.sasl"'],
    ['a wrong password of SCRAM', { tls, sasl: user('scram-sha-512', 'wrong-secret') }, 'Correct "kafka.sasl"'],
    [
      'an authority that is not known',
      { tls: true, sasl: user('plain', 'plain-secret') },
      'name its authority in "kafka.tls"',
    ],
    [
      'a user without rights',
      { tls, sasl: { ...user('plain', 'plain-secret'), username: 'stranger' } },
      'Its user needs READ on the topics and the group',
    ],
    [
      'a user who may read the topic and is not in the group',
      { tls, sasl: { ...user('plain', 'plain-secret'), username: 'reader' } },
      'GROUP_AUTHORIZATION_FAILED',
    ],
  ])('ends the start at %s, with what to do, and without the secret', async (_, settings, words) => {
    const failure = await consumed(sasl, settings).catch((error: unknown) => String(error));
    expect(failure).toContain(words);
    expect(failure).not.toContain('secret');
    expect(failure).not.toContain('It goes on');
  });

  test('a consumer that speaks TLS to a broker without it, or the reverse, says to check that', async () => {
    const plain = Number(kafka.broker.address.split(':')[1]);
    for (const [port, settings] of [
      [mutual, {}],
      [plain, { tls }],
    ] as const)
      await expect(consumed(port, settings)).rejects.toThrow('Look whether the port speaks TLS');
  });
});

function inOneLine(pem: string): string {
  return pem.trim().replaceAll(/\r?\n/g, '\\n');
}

function pkcs8(pem: string): string {
  return createPrivateKey(pem).export({ type: 'pkcs8', format: 'pem' }).toString();
}
