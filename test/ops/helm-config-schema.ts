import { z } from 'zod';
import { isRecord } from '../../src/domain/json.ts';
import { configSchema } from '../../src/app/config.ts';

const NAMES_OF_SECRETS = '[Aa]uth|AUTH|[Kk]ey|KEY|[Tt]oken|TOKEN|[Ss]ecret|SECRET|[Pp]assw|PASSW|[Cc]ookie|COOKIE';
const REFERENCE = '\\$\\{(env|file):[^{}]+\\}';
/** Any other word before a reference may be a part of the secret. */
const SCHEMES = '[Aa]pi-?[Kk]ey|[Bb]asic|[Bb]earer|[Kk]ey|[Oo][Aa]uth|[Tt]oken';
/** Of a plain pattern, Helm would print the secret that does not match it. */
const unprinted = (pattern: unknown): object => ({ not: { not: { pattern } } });
const AS_REFERENCE = unprinted(`^${REFERENCE}$`);
/** All of it, or what follows a scheme: `Bearer ${env:TOKEN}`. */
const AS_HEADER = unprinted(`^((${SCHEMES}) )?${REFERENCE}$`);
/** All of it, or what follows the id of a key: `2026-11:${env:KEY}`. */
const AS_PAYLOAD_KEY = unprinted(`^([A-Za-z0-9._-]+:)?${REFERENCE}$`);
/** Settings that hold a secret wherever they are, and what such a one can be in a chart's values. */
const SECRETS: ReadonlyMap<string, object> = new Map([
  ['bearer', AS_REFERENCE],
  ['clientSecret', AS_REFERENCE],
  ['key', AS_REFERENCE],
  ['passphrase', AS_REFERENCE],
  ['password', AS_REFERENCE],
  ['payloadKeys', AS_PAYLOAD_KEY],
  ['queryParameters', AS_HEADER],
  ['secret', AS_REFERENCE],
  ['signingSecrets', AS_REFERENCE],
  ['token', AS_REFERENCE],
]);
/** URLs that the program reads as texts. */
const URLS: ReadonlySet<string> = new Set(['url', 'proxy']);
/** What in a URL is a secret and no reference: a password; over HTTP, a user name too, which may be a token; and a parameter of its query by its name. */
const SECRET_IN_URL = [
  '://[^/@:]*:([^$/@]|\\$[^{])[^/@]*@',
  '[hH][tT][tT][pP][sS]?://[^/@$]+@',
  `[?&][^=&#]*(${NAMES_OF_SECRETS})[^=&#]*=([^$&#{]|\\$[^{])`,
].join('|');
const WITHOUT_SECRET = { not: { pattern: SECRET_IN_URL } };
/** In a chat webhook, everything after the host is the secret: one reference, at most behind the public `/services/` that some have. */
const HOST = '[A-Za-z]+://[^/?#@$\\\\\\s]+';
const HOST_OR_REFERENCE = `^${HOST}/?$|^(${HOST}/(services/)?)?${REFERENCE}$`;

/** An address, or a network by its prefix length: `10.0.0.0/8`, `fd00::7`. */
const NETWORK =
  '^([0-9]{1,3}(\\.[0-9]{1,3}){3}(/([0-9]|[12][0-9]|3[0-2]))?|[0-9a-fA-F:]*:[0-9a-fA-F:]*(/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))?)$';

/** A port, or a range of ports: `8000-8099`. Kubernetes has no port 0; how large they are is looked at by the templates. */
const PORTS = '^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$';

/**
 * What a chart can know of `triggers.config.json` before it is installed: which settings there are, of which kinds, and that none of them holds a secret.
 * Numbers and lists have the bounds that the program has. Texts may be references, so what they must look like is left to it.
 */
export function chartConfigSchema(): object {
  const whole = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any', target: 'draft-7' });
  const schema = loosened(whole) as { properties: Record<string, { properties?: Record<string, object> }> }; // An object stays one.
  // The chart says these itself, by variables, which count before the file: there they would be taken and mean nothing.
  const { deployment: _deployment, watch: _watch, ...properties } = schema.properties;
  const { jobs } = properties['metrics']?.properties ?? {};
  const metrics = { type: 'object', properties: { jobs }, additionalProperties: false };
  // A policy is made of these two.
  const network = {
    ...properties['network'],
    properties: {
      ...properties['network']?.properties,
      allowAddresses: { type: 'array', items: { type: 'string', pattern: NETWORK } },
      allowPorts: { type: 'array', minItems: 1, items: { type: 'string', pattern: PORTS } },
    },
  };
  const url = { type: 'string', allOf: [WITHOUT_SECRET, unprinted(HOST_OR_REFERENCE)] };
  const alerts = { ...properties['alerts'], properties: { ...properties['alerts']?.properties, url } };
  // Blanks at its ends are a mistake that two processes would make differently.
  const taskQueue = { ...properties['taskQueue'], pattern: '^\\S(.*\\S)?$' };
  return { ...schema, properties: { ...properties, taskQueue, metrics, network, alerts } };
}

/** @param secret what its texts must be */
function loosened(schema: unknown, secret: object = {}): unknown {
  if (Array.isArray(schema)) return schema.map((one) => loosened(one, secret));
  if (!isRecord(schema)) return schema;
  const { type, properties, additionalProperties, items, anyOf, oneOf, allOf, required } = schema;
  const choices = anyOf ?? oneOf;
  return {
    ...(type === undefined ? {} : { type }),
    ...(schema['const'] === undefined ? {} : { const: schema['const'] }),
    ...(schema['enum'] === undefined ? {} : { enum: schema['enum'] }),
    ...boundsOf(schema),
    ...(type === 'string' ? secret : {}),
    ...(schema['format'] === 'uri' ? WITHOUT_SECRET : {}),
    ...(required === undefined ? {} : { required }),
    ...(isRecord(properties) ? { properties: eachOf(properties) } : {}),
    ...(additionalProperties === undefined ? {} : { additionalProperties: loosened(additionalProperties, secret) }),
    ...(items === undefined ? {} : { items: loosened(items, secret) }),
    ...(Array.isArray(choices) ? oneOfThem(choices, secret) : {}),
    ...(allOf === undefined ? {} : { allOf: loosened(allOf, secret) }),
  };
}

/** Those that a reference keeps, too: it is a text of some length. */
function boundsOf(schema: Readonly<Record<string, unknown>>): object {
  const names = ['minimum', 'exclusiveMinimum', 'maximum', 'minLength', 'minItems', 'maxItems'];
  const bounds = names.map((name) => [name, schema[name]] as const);
  // Zod says of every integer that it is one that JavaScript can count to.
  return Object.fromEntries(
    bounds.filter(([, bound]) => bound !== undefined && Math.abs(Number(bound)) !== Number.MAX_SAFE_INTEGER),
  );
}

/** Which of them it is is said by its kind where they have one: what is wrong is then said of that one alone. */
function oneOfThem(choices: readonly unknown[], secret: object): object {
  const loose = choices.map((one) => loosened(one, secret));
  const kinds = loose.flatMap((one) => {
    const { properties } =
      z.object({ properties: z.object({ kind: z.object({ const: z.string() }) }) }).safeParse(one).data ?? {};
    return properties === undefined ? [] : [properties.kind.const];
  });
  if (kinds.length < loose.length) return { anyOf: loose };
  return {
    type: 'object',
    required: ['kind'],
    properties: { kind: { enum: kinds } },
    allOf: loose.map((one, at) => ({ if: { properties: { kind: { not: { const: kinds[at] } } } }, else: one })),
  };
}

function eachOf(properties: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => {
      // Those of an authorization are secrets, others are by their names.
      const isOfAuthorization = name === 'headers' && 'origins' in properties;
      // With its name beside it, it is what an ingest must be shown; elsewhere a path.
      const isShown = name === 'value' && 'name' in properties;
      const secret = isOfAuthorization || isShown ? AS_HEADER : SECRETS.get(name);
      const loose = loosened(schema, secret);
      const named = { [NAMES_OF_SECRETS]: { type: 'string', ...AS_HEADER } };
      // Of an API key: somebody may give the key in its place.
      if (name === 'hash' && isRecord(schema)) return [name, { type: 'string', ...unprinted(schema['pattern']) }];
      if (URLS.has(name)) return [name, { ...(isRecord(loose) ? loose : {}), ...WITHOUT_SECRET }];
      const isPerhapsSecret = /^(?:headers|parameters)$/.test(name) && secret === undefined;
      return [name, isPerhapsSecret && isRecord(loose) ? { ...loose, patternProperties: named } : loose];
    }),
  );
}
