import type { JobDefinitionInput } from '../../src/contract/export-job.ts';
import { JOB_FIELDS } from '../../src/contract/export-job.ts';

/** A definition that is right, as long as the worker knows the audience; every field is said. */
export const RIGHT: Required<JobDefinitionInput> = {
  label: 'Right',
  description: 'As it should be',
  audiences: ['vip'],
  webhookUrl: 'https://a.example/hook',
  authorization: null,
  exportFields: ['email'],
  existingUsers: false,
  userLegacyMessageFormat: false,
  memberships: true,
  parallelRequestCount: 5,
  backfillPerSecond: 100,
  backfillParallelCount: 2,
  events: ['enter', 'exit'],
  method: 'PUT',
  headers: { 'x-list': '{{ audience.slug }}' },
  contentType: 'application/json',
  body: '{"email": {{ data.email | json }}}',
  onEnter: { method: 'POST' },
  onExit: {
    webhookUrl: 'https://a.example/members/{{ id }}',
    method: 'DELETE',
    body: '',
    answers: { '404': 'delivered' },
  },
  envelope: null,
  requestsPerSecond: 20,
  answers: { '404': 'delivered' },
  endsAt: '2099-12-31T23:59:59+01:00',
  retryFor: '6h',
  batch: null,
  quietHours: { from: '22:00', to: '08:00', timeZone: 'Europe/Berlin', days: ['mon', 'fri'], meanwhile: 'wait' },
  quota: { people: 1000, per: 'day', timeZone: 'Europe/Berlin' },
  stale: 'drop',
};

/** Values that a field must not take, by what is wrong with them. */
interface WrongValues {
  readonly type: readonly unknown[];
  readonly unit?: readonly unknown[];
  readonly empty?: readonly unknown[];
}

const NO_TEXT = [7, true, {}, [], null, ['text']];
const NO_LIST = [7, 'vip', true, {}, null, [7], [null], [{}], [['vip']], ['vip', 7]];
const NO_FLAG = ['true', 'yes', 1, 0, null, {}, []];
const NO_NUMBER = ['5', true, {}, [], [5]];

const QUIET = { from: '22:00', to: '08:00', timeZone: 'Europe/Berlin' };

const QUOTA = { people: 1000, per: 'day', timeZone: 'Europe/Berlin' };

/** Typed, so that a new field of the form cannot be forgotten here. */
const WRONG: Readonly<Record<keyof JobDefinitionInput, WrongValues>> = {
  label: { type: NO_TEXT, unit: ['x'.repeat(201), '\ud800', '\u001b]0;x\u0007VIP'], empty: ['', '  '] },
  description: { type: NO_TEXT, unit: ['x'.repeat(2001)] },
  audiences: { type: NO_LIST, unit: [Array<string>(101).fill('vip')], empty: [[], [''], ['vip', ' ']] },
  webhookUrl: {
    type: NO_TEXT,
    unit: [
      'a.example/hook',
      'ftp://a.example/',
      'mailto:a@example.com',
      'https://me:pw@a.example/',
      'https://a.example/?key=a#b',
      `https://${'a'.repeat(64)}.example.com/`,
      `https://${'a.'.repeat(126)}bc/`,
      `https://a.example/${'x'.repeat(2048)}`,
    ],
    empty: ['', ' '],
  },
  authorization: { type: [7, true, {}, []], unit: ['x'.repeat(101)], empty: ['', ' '] },
  exportFields: {
    type: NO_LIST,
    unit: [['x'.repeat(256)], [{ field: 'email' }], [{ field: 'email', as: 'segment_events.x' }]],
    empty: [[''], ['email', ' ']],
  },
  existingUsers: { type: NO_FLAG },
  userLegacyMessageFormat: { type: NO_FLAG },
  memberships: { type: NO_FLAG },
  parallelRequestCount: { type: [...NO_NUMBER, null], unit: [0, -1, 2.5, 0.5, 500.5, 501, '5 parallel', '50%'] },
  backfillPerSecond: { type: NO_NUMBER, unit: [0, -1, 100_001, '100/s', '100 per second'] },
  backfillParallelCount: { type: NO_NUMBER, unit: [0, -1, 2.5, 501, '50%'] },
  answers: {
    type: [7, 'delivered', true, [], { '404': 7 }, { '404': null }, ['404']],
    unit: [{ '2xx': 'retry' }, { '404': 'deliverd' }, { 404.5: 'retry' }, { '199': 'retry' }, { '4XX': 'retry' }],
    empty: [{}],
  },
  retryFor: {
    type: [...NO_NUMBER.slice(1), 28, 3_600_000],
    unit: ['28', '6 h', '6H', '59s', '7d1s', '0.5h', '-6h', '6 hours', '1w', 'PT6H', '30m6h'],
    empty: ['', ' '],
  },
  quota: {
    type: [7, true, '1000', [], {}, { ...QUOTA, people: '1000' }, { ...QUOTA, per: 1 }, { ...QUOTA, timeZone: null }],
    unit: [
      { ...QUOTA, people: 0 },
      { ...QUOTA, people: 1e10 },
      { ...QUOTA, per: 'month' },
      { ...QUOTA, timeZone: 'EST' },
      { ...QUOTA, perDay: 5 },
      { people: 1000, per: 'day' },
    ],
    empty: [{ ...QUOTA, timeZone: '' }],
  },
  quietHours: {
    type: [
      7,
      true,
      '22:00-08:00',
      [],
      {},
      { ...QUIET, from: 22 },
      { ...QUIET, days: 'mon' },
      { ...QUIET, timeZone: 1 },
    ],
    unit: [
      { ...QUIET, from: '10pm' },
      { ...QUIET, to: '24:00' },
      { ...QUIET, to: '22:00' },
      { ...QUIET, timeZone: 'Europe/Berlinn' },
      { ...QUIET, days: ['monday'] },
      { ...QUIET, days: ['mon', 'mon'] },
      { ...QUIET, meanwhile: 'hold' },
      { ...QUIET, timezone: 'UTC' },
      { from: '22:00', to: '08:00' },
    ],
    empty: [
      { ...QUIET, from: '' },
      { ...QUIET, days: [] },
      { ...QUIET, timeZone: '' },
    ],
  },
  endsAt: {
    type: [7, true, {}, []],
    unit: ['2099-12-31', '2099-12-31T23:59:59', '2099-02-30T00:00:00Z', '24h', '2099-12-31 23:59:59Z'],
    empty: ['', ' '],
  },
  events: { type: [7, 'enter', true, {}, [7], [null]], unit: [['enters'], ['enter', 'enter']], empty: [[]] },
  method: { type: [7, true, {}, []], unit: ['HEAD', 'put', 'PUT '], empty: [''] },
  headers: {
    type: [7, true, 'x-list: 7', ['x-list'], { 'x-list': 7 }],
    unit: [
      { 'x list': '7' },
      { 'x-list': 'a\nb' },
      { authorization: 'Bearer x' },
      { Host: 'a' },
      { 'webhook-id': 'a' },
    ],
    empty: [{ '': '7' }],
  },
  contentType: { type: [7, true, {}, []], unit: ['json', 'text/plain; charset', 'a/b\nc: d'], empty: ['', ' '] },
  body: { type: [7, true, {}, [], { email: 'x' }], unit: ['x'.repeat(16_385)] },
  onEnter: { type: [7, true, 'DELETE', []], unit: [{ method: 'HEAD' }, { body: {} }, { webhookUrl: 'a.example' }] },
  onExit: {
    type: [7, true, 'DELETE', [], { answers: 'delivered' }],
    unit: [{ method: 'GET' }, { methd: 'PUT' }, { answers: { '2xx': 'retry' } }],
    empty: [{ answers: {} }],
  },
  stale: { type: [7, true, {}, [], null, ['drop']], unit: ['Drop', 'keep', 'drop '], empty: [''] },
  envelope: { type: [7, true, {}, []], unit: ['CloudEvents', 'cloudevent'], empty: [''] },
  requestsPerSecond: { type: NO_NUMBER, unit: [0, -1, 0.009, 1001, '10/s', '10 per second'] },
  batch: {
    type: [7, true, '100', [100], { size: '100' }, { size: 100, afterMs: '5s' }],
    unit: [
      { size: 0 },
      { size: 1001 },
      { size: 2.5 },
      { size: 100, afterMs: 300_001 },
      { size: 100, after: 5000 },
      { sze: 100 },
      { afterMs: 5 },
    ],
    empty: [{}],
  },
};

/** A definition with one mistake. */
export interface Mistake {
  readonly kind: 'unknown' | 'misspelt' | 'type' | 'unit' | 'empty' | 'twice';
  /** The key as it is written, which the answer must name. */
  readonly field: string;
  /** As a file says it: only there can a key stand twice. */
  readonly text: string;
  /** The same as a program says it; undefined for what only a file can say. */
  readonly definition: Readonly<Record<string, unknown>> | undefined;
  /** The field that the answer must propose. */
  readonly near?: string;
}

/** Ways in which people misspell a name. */
function misspellings(name: string): string[] {
  const snake = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const half = Math.floor(name.length / 2);
  const swapped = name.slice(0, half - 1) + name.charAt(half) + name.charAt(half - 1) + name.slice(half + 1);
  const wrong = [
    name.slice(0, -1),
    `${name}s`,
    name.toUpperCase(),
    snake,
    snake.replaceAll('_', '-'),
    swapped,
    ` ${name}`,
  ];
  return [...new Set(wrong)].filter((one) => one !== name && !JOB_FIELDS.includes(one));
}

/**
 * Every mistake that there can be with one field.
 *
 * @param right what it is made in; every field must be said.
 */
export function mistakesWith(
  field: keyof JobDefinitionInput,
  right: Readonly<Record<string, unknown>> = RIGHT,
): Mistake[] {
  const { [field]: value, ...rest } = right;
  const said = (kind: Mistake['kind'], key: string, definition: Readonly<Record<string, unknown>>): Mistake => ({
    kind,
    field: key,
    definition,
    text: JSON.stringify(definition),
  });
  const entry = `${JSON.stringify(field)}:${JSON.stringify(value)}`;
  return [
    ...misspellings(field).flatMap((key) => [
      { ...said('misspelt', key, { ...rest, [key]: value }), near: field },
      { ...said('misspelt', key, { ...right, [key]: value }), near: field },
    ]),
    said('unknown', `zz${field.length}qq`, { ...right, [`zz${field.length}qq`]: value }),
    ...(['type', 'unit', 'empty'] as const).flatMap((kind) =>
      (WRONG[field][kind] ?? []).map((wrong) => said(kind, field, { ...right, [field]: wrong })),
    ),
    { kind: 'twice', field, definition: undefined, text: `${JSON.stringify(right).slice(0, -1)},${entry}}` },
  ];
}
