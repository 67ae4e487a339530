import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export const EXAMPLES_FOLDER = fileURLToPath(new URL('../../ops/helm/examples', import.meta.url));

/** The least that is taken. */
export const LEAST = parse(readFileSync(`${EXAMPLES_FOLDER}/small.yaml`, 'utf8')) as Readonly<Record<string, unknown>>;
export const { config: LEAST_CONFIG } = LEAST as { config: object };
export const SECRET = { secret: 'a', key: 'b' };
export const KEYS = { apiKeys: { a: { hash: `sha256:${'0'.repeat(64)}`, may: ['read'] } } };
export const INGRESS = { enabled: true, host: 'a.example.com', tlsSecret: 'tls' };
export const CRM = { origins: ['https://crm.example.com'] };
export const TO_DATABASE = [{ ports: [{ protocol: 'TCP', port: 5432 }] }];
