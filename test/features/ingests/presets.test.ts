import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Json } from '../../../src/contract/trigger.ts';
import { type Audience } from '../../../src/contract/audience.ts';
import { legacyPayload, newPayload } from '../../../src/domain/message.ts';
import { parseJson } from '../../../src/domain/json.ts';
import { eventOf, type PresetSettings, type Reading, timeOf } from '../../../src/features/ingests/arrival.ts';
import { PRESET_NAMES, presetNamed, type PresetName } from '../../../src/features/ingests/presets.ts';
import { always } from '../../support/properties.ts';

function read(
  preset: PresetName,
  body: unknown,
  settings: Partial<PresetSettings> = {},
  { headers = {}, query = {} }: { headers?: Record<string, string>; query?: Record<string, string> } = {},
): Reading {
  return presetNamed(preset).read({ headers, query, body: body as Json }, { audiences: {}, ...settings });
}

const KEYS =
  'type event properties traits context data segment_events rows action parameters members batch user userId id audience __proto__ person distinct_id timestamp'.split(
    ' ',
  );

test.each(PRESET_NAMES)('%s throws nothing and makes only whole changes, whatever comes', (preset) => {
  const key = fc.constantFrom(...KEYS);
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom('track', 'identify', 'Audience Entered', 'enter', 'members', '', 'x'),
      fc.jsonValue({ maxDepth: 1 }),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(key, tie('tree'), { maxKeys: 5 }),
    ),
  }));
  always(
    fc.property(tree, (body) => {
      for (const change of read(preset, body, { audiences: { x: 'y', enter: 'z' } }).changes) {
        if ('reason' in change) continue;
        expect(change.user).not.toBe('');
        expect(['enter', 'exit']).toContain(change.event);
        expect(change.audiences.length).toBeGreaterThan(0);
      }
    }),
    30,
  );
});

describe('one request has at most 10,000 items', () => {
  const traits = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`a${i}`, true]));
  const identify = { type: 'identify', userId: 'ada', traits };
  const entered = { type: 'track', userId: 'ada', event: 'Audience Entered', properties: { audience_key: 'vip' } };
  const change = { user: 'ada', distinct_id: 'ada', event: 'enter', audience: 'vip' };
  const message = { id: 'ada', data: { segment_events: [{ id: 'vip', event: 'enter' }] } };
  const page = (members: unknown) => ({ action: 'members', parameters: { mixpanel_cohort_name: 'vip', members } });
  const event = { id: 'vip', event: 'enter' };
  const body: Readonly<Record<string, (length: number) => unknown>> = {
    segment: (length) => ({ batch: times(length, entered) }),
    rudderstack: (length) => times(length, entered),
    mixpanel: (length) => page(times(length, { mixpanel_distinct_id: 'ada' })),
    hightouch: (length) => ({ rows: times(length, { ...change, id: 'ada' }) }),
    census: (length) => times(length, { ...change, id: 'ada' }),
    posthog: (length) => times(length, change),
    customerio: (length) => times(length, change),
    lytics: (length) => times(length, message),
    standard: (length) => times(length, change),
    'lytics: events of one message': (length) => ({ id: 'ada', data: { segment_events: times(length, event) } }),
    'lytics: messages of several events': (length) => [
      { id: 'ada', data: { segment_events: times(length - 9_000, event) } },
      ...times(9_000, message),
    ],
    'segment: audiences of Identify calls': (length) => [...times(100, identify), ...times(length - 10_000, entered)],
  };

  function times(length: number, item: unknown): unknown[] {
    return Array.from({ length }, () => item);
  }

  test.each(Object.keys(body))('%s', (what) => {
    const [preset] = what.split(':') as [PresetName];
    const audiences = Object.fromEntries(Object.keys(traits).map((name) => [name, name]));
    const { changes } = read(preset, body[what]?.(10_000), { audiences });
    expect(changes).toHaveLength(10_000);
    expect(changes.some((one) => 'reason' in one)).toBe(false);
    const refused = { changes: [{ reason: 'it has more than 10000 items' }], ignored: 0 };
    expect(read(preset, body[what]?.(10_001), { audiences })).toMatchObject(refused);
  });

  test('calls that tell of no change count', () => {
    expect(read('segment', times(10_000, { type: 'page' }))).toMatchObject({ changes: [], ignored: 10_000 });
    expect(read('segment', times(10_001, { type: 'page' })).changes).toHaveLength(1);
  });

  test('each preset is among them', () => {
    expect(Object.keys(body)).toEqual(expect.arrayContaining([...PRESET_NAMES]));
  });
});

describe('profiles that a request repeats are bounded before they are copied', () => {
  const names = Array.from({ length: 1_000 }, (_, i) => `a${i}`);
  const audiences = Object.fromEntries(names.map((name) => [name, name]));
  const flags = Object.fromEntries(names.map((name) => [name, true]));
  const identify = (traits: object) => read('segment', { type: 'identify', userId: 'ada', traits }, { audiences });
  const events = names.map((id) => ({ id, event: 'enter' }));
  const lytics = (data: object) => read('lytics', { id: 'ada', data: { ...data, segment_events: events } });
  const small = { note: 'x'.repeat(100) };
  const TOO_OFTEN = { changes: [{ reason: expect.stringContaining('once for each audience') }] };

  test.each([
    ['segment', (more: object) => identify({ ...flags, ...more })],
    ['lytics', lytics],
  ] as const)('%s', (_, of) => {
    expect(of(small).changes).toHaveLength(1_000);
    expect(of({ note: 'x'.repeat(20_000) })).toMatchObject(TOO_OFTEN);
    expect(of({ note: 'x'.repeat(200_000) })).toMatchObject({
      changes: [{ reason: expect.stringContaining('large') }],
    });
  });

  test('the calls of a batch count together', () => {
    const batch = [small, small, {}].map((more) => ({
      type: 'identify',
      userId: 'ada',
      traits: { ...flags, ...more },
    }));
    const { changes } = read('segment', { batch: [...batch, { ...batch[0], traits: { a1: true } }] }, { audiences });
    expect(changes.flatMap((one, index) => ('reason' in one ? index : []))).toEqual([1_000, 1_001]);
    expect(changes).toHaveLength(1_003);
  });
});

test('fields that are too many for a trigger are not copied', () => {
  const fields = Object.fromEntries(Array.from({ length: 14_000 }, (_, i) => [`f${i}`, 1]));
  const row = { ...fields, id: 'ada', event: 'enter', audience: 'vip', _audience: 'vip', _audience_action: 'enter' };
  const bodies: readonly [PresetName, unknown][] = [
    ['hightouch', row],
    ['census', { rows: [row] }],
    ['lytics', { id: 'ada', data: row }],
  ];
  for (const [preset, body] of bodies) {
    const [change] = read(preset, body).changes;
    expect(change !== undefined && 'profile' in change && change.profile === row).toBe(true);
  }
});

describe('words and times', () => {
  test.each([
    ['entered', 'enter'],
    ['audience.exited', 'exit'],
    ['Cohort Left', 'exit'],
    [true, 'enter'],
    [false, 'exit'],
    ['purchased', undefined],
    [7, undefined],
  ])('%s means %s', (word, event) => {
    expect(eventOf(word)).toBe(event);
  });

  test.each([
    ['2026-11-27T08:30:00.5Z', '2026-11-27T08:30:00.5Z'],
    [1_795_768_200, '2026-11-27T08:30:00.000000000Z'],
    [1_795_768_200_123, '2026-11-27T08:30:00.123000000Z'],
    [-5, null],
    [20_261_127_083_000, null],
    [999_999_999, null],
    [1_000_000_000, '2001-09-09T01:46:40.000000000Z'],
    [4_102_444_799_999, '2099-12-31T23:59:59.999000000Z'],
    [4_102_444_800, null],
    [{}, null],
    [null, undefined],
    ['', undefined],
  ])('the time %j is %j', (value, time) => {
    expect(timeOf(value)).toBe(time);
  });
});

describe('segment', () => {
  const track = {
    type: 'track',
    event: 'Audience Entered',
    userId: 'u-1',
    messageId: 'personas_1',
    timestamp: '2026-11-27T08:30:00.123Z',
    context: {
      traits: { email: 'ada@example.com' },
      personas: { computation_class: 'audience', computation_key: 'big_spenders', computation_id: 'aud_1' },
    },
    properties: { audience_key: 'big_spenders', big_spenders: true },
  };

  test('Track that says by its event and by its audience different things is refused', () => {
    const changesOf = (properties: object) => read('segment', { ...track, properties }).changes;
    expect(changesOf({ audience_key: 'big_spenders', big_spenders: false })).toEqual([
      { reason: expect.stringContaining('different things') },
    ]);
    expect(changesOf({ audience_key: 'big_spenders' })).toEqual([expect.objectContaining({ event: 'enter' })]);
  });

  test('Track says who entered or left', () => {
    expect(read('segment', track)).toEqual({
      changes: [
        {
          user: 'u-1',
          event: 'enter',
          audiences: ['big_spenders', 'aud_1'],
          at: '2026-11-27T08:30:00.123Z',
          profile: { email: 'ada@example.com' },
        },
      ],
      ignored: 0,
      messageId: 'personas_1',
    });
    const left = { audience_key: 'big_spenders', big_spenders: false };
    expect(read('segment', { ...track, event: 'Audience Exited', properties: left }).changes).toMatchObject([
      { event: 'exit' },
    ]);
  });

  test('Identify reports by a boolean trait of the computed audience, or of a configured one', () => {
    const computed = { ...track, type: 'identify', traits: { big_spenders: false, plan: 'pro' } };
    expect(read('segment', computed).changes).toMatchObject([
      { event: 'exit', audiences: ['big_spenders', 'aud_1'], profile: { plan: 'pro' } },
    ]);
    const plain = { type: 'identify', userId: 'u-1', traits: { vip: true, beta: false, plan: 'pro' } };
    expect(read('segment', plain)).toMatchObject({ changes: [], ignored: 1 });
    expect(read('segment', plain, { audiences: { vip: 'v', beta: 'b', plan: 'p' } }).changes).toMatchObject([
      { event: 'enter', audiences: ['vip'], profile: { beta: false, plan: 'pro' } },
      { event: 'exit', audiences: ['beta'] },
    ]);
  });

  test('a computed trait that is boolean, and is no audience, tells of no change', () => {
    const personas = { computation_class: 'trait', computation_key: 'is_pro' };
    const call = { type: 'identify', userId: 'u', context: { personas }, traits: { is_pro: true } };
    expect(read('segment', call)).toMatchObject({ changes: [], ignored: 1 });
  });

  test('a batch is read in order; the preset ignores other calls, and refuses an element that is no call', () => {
    const batch = [track, { type: 'page', userId: 'u' }, 7, { ...track, userId: null }];
    const { changes, ignored } = read('rudderstack', { batch });
    expect(ignored).toBe(1);
    expect(changes).toEqual([
      expect.objectContaining({ user: 'u-1' }),
      { reason: expect.stringContaining('no call') },
      { reason: expect.stringContaining('"userId"') },
    ]);
  });

  test('a batch is the same when its messages are', () => {
    const other = { ...track, messageId: 'personas_2' };
    const ids = [[track, other], [track, other], [other, track], [track]].map(
      (batch) => read('segment', { batch }).messageId,
    );
    expect(ids[0]).toBe(ids[1]);
    expect(new Set(ids).size).toBe(3);
    expect(read('segment', { batch: [track, { type: 'page' }] }).messageId).toBeUndefined();
  });
});

describe('lytics, and jobs of ours', () => {
  const audience: Audience = { id: '3b9ac1f2d7e84c05a6e1f09d582b7c34', slug: 'vip', name: 'VIP customers' };
  const parts = {
    user: '12645278470990184693',
    event: 'exit' as const,
    at: '2026-11-25T08:30:00.000000001Z',
    audience,
    profile: { email: 'sam@example.com' },
    subscriptionId: '36e243f8fd8f4530bbd330fa7fb1a685',
    exportFields: [],
    attemptAt: '2026-11-25T08:31:00Z',
  };
  const { user, event, at, profile } = parts;

  test('both formats say the same', () => {
    expect(read('lytics', parseJson(newPayload(parts))).changes).toEqual([
      { user, event, at, profile, audiences: [audience.id, 'vip'] },
    ]);
    expect(read('lytics', parseJson(legacyPayload(parts))).changes).toEqual([
      { user, event, at, profile, audiences: [audience.id, 'vip', 'VIP customers'] },
    ]);
  });

  test('an id that is a number keeps its digits, and another field can be the id', () => {
    const text = newPayload(parts).replace(`"${user}"`, user);
    expect(read('lytics', parseJson(text)).changes).toMatchObject([{ user }]);
    expect(read('lytics', parseJson(text), { userField: 'email' }).changes).toMatchObject([
      { user: 'sam@example.com' },
    ]);
  });

  test('the old format without segment_events says it by _audience_action', () => {
    const { segment_events: _, ...message } = parseJson(legacyPayload(parts)) as Record<string, Json>;
    expect(read('lytics', message).changes).toEqual([
      { user, event, profile, audiences: [audience.id, 'vip', 'VIP customers'] },
    ]);
  });

  test('a batch, and a CloudEvent, are what is in them', () => {
    const message = parseJson(newPayload(parts));
    expect(read('standard', [message, message]).changes).toHaveLength(2);
    expect(read('standard', { specversion: '1.0', id: 'x', data: message }).changes).toMatchObject([{ user }]);
  });

  test('a test message of triggers test reports no change', () => {
    const headers = { 'webhook-id': 'test-1' };
    expect(read('standard', parseJson(newPayload(parts)), {}, { headers })).toMatchObject({ changes: [], ignored: 1 });
  });
});

describe('standard', () => {
  test('a trigger, and data under a type that says what happened', () => {
    const headers = { 'webhook-id': 'msg_1' };
    const trigger = { event: 'enter', audience: 'vip', user: 7, profile: { plan: 'pro' } };
    expect(read('standard', trigger, {}, { headers })).toMatchObject({
      changes: [{ user: '7', event: 'enter', audiences: ['vip'], profile: { plan: 'pro' } }],
      messageId: 'msg_1',
    });
    const typed = {
      type: 'audience.exited',
      timestamp: '2026-11-27T08:30:00Z',
      data: { audience: 'vip', user: 'u' },
    };
    expect(read('standard', typed).changes).toEqual([
      { user: 'u', event: 'exit', audiences: ['vip'], at: '2026-11-27T08:30:00Z' },
    ]);
    expect(read('standard', { ...typed, type: 'invoice.paid' })).toMatchObject({ changes: [], ignored: 1 });
  });
});

describe('mixpanel', () => {
  const page = (action: string, count = 1) => ({
    action,
    parameters: {
      mixpanel_cohort_id: '42',
      mixpanel_cohort_name: 'Power users',
      mixpanel_session_id: 's-1',
      page_info: { total_pages: 2, page_count: count },
      members: [{ mixpanel_distinct_id: 'm-1', email: 'ada@example.com' }, { email: 'bob@example.com' }],
    },
  });

  test('members and add_members enter, remove_members leave; the answer is the one that is expected', () => {
    for (const [action, event] of [
      ['members', 'enter'],
      ['add_members', 'enter'],
      ['remove_members', 'exit'],
    ] as const)
      expect(read('mixpanel', page(action))).toEqual({
        changes: [
          {
            user: 'm-1',
            event,
            audiences: ['42', 'Power users'],
            profile: { mixpanel_distinct_id: 'm-1', email: 'ada@example.com' },
          },
          { reason: expect.stringContaining('"mixpanel_distinct_id"') },
        ],
        ignored: 0,
        messageId: `s-1 ${action} 1`,
        answer: { action, status: 'success' },
      });
  });

  test('each page is another message, and another field can be the id', () => {
    expect(read('mixpanel', page('members', 2)).messageId).toBe('s-1 members 2');
    expect(read('mixpanel', page('members'), { userField: 'email' }).changes).toMatchObject([
      { user: 'ada@example.com' },
      { user: 'bob@example.com' },
    ]);
  });
});

describe('rows of hightouch and census', () => {
  test.each([
    ['one', { user_id: 'u-1', plan: 'pro' }],
    ['a list', [{ user_id: 'u-1', plan: 'pro' }]],
    ['rows', { rows: [{ user_id: 'u-1', plan: 'pro' }] }],
    ['records', { records: [{ user_id: 'u-1', plan: 'pro' }] }],
  ])('%s: what happened, and to which audience, is in the URL', (_, body) => {
    for (const preset of ['hightouch', 'census'] as const)
      expect(read(preset, body, {}, { query: { event: 'removed', audience: 'vip' } }).changes).toEqual([
        { user: 'u-1', event: 'exit', audiences: ['vip'], profile: { user_id: 'u-1', plan: 'pro' } },
      ]);
  });

  test('it may be said beside the rows, or by each of them, and the audience by the configuration', () => {
    const beside = { event: 'added', audience: 'vip', rows: [{ id: 1 }] };
    expect(read('census', beside).changes).toMatchObject([{ user: '1', event: 'enter', audiences: ['vip'] }]);
    const each = [
      { event: 'enter', email: 'a' },
      { event: 'exit', email: 'b' },
    ];
    expect(read('census', each, { audience: 'own', userField: 'email' }).changes).toEqual([
      { user: 'a', event: 'enter', audiences: ['own'], profile: { email: 'a' } },
      { user: 'b', event: 'exit', audiences: ['own'], profile: { email: 'b' } },
    ]);
    expect(read('census', [{ id: 1 }], { audience: 'own' }).changes).toEqual([
      { reason: expect.stringContaining('enters or leaves') },
    ]);
  });
});

describe('contradictions and invalid profiles', () => {
  const differs = (key: string) => [{ reason: expect.stringContaining(`say a different "${key}"`) }];

  test.each([
    ['event', { event: 'enter', audience: 'vip' }, { id: 1, event: 'removed' }],
    ['event', { event: 'enter', audience: 'vip' }, { id: 1, event: 'purchased' }],
    ['event', {}, { event: 'enter', audience: 'vip', rows: [{ id: 1, event: 'exit' }] }],
    ['audience', { event: 'enter', audience: 'vip' }, { id: 1, audience: 'news' }],
    ['at', { event: 'enter', audience: 'vip', at: '2026-11-27T08:30:00Z' }, { id: 1, at: 1_795_000_000 }],
  ])('rows: two places that give a different %s are refused', (key, query, body) => {
    expect(read('census', body, { audiences: {} }, { query }).changes).toEqual(differs(key));
  });

  test('rows: two places that mean the same, by the words and names of the sender, count as one', () => {
    const query = { event: 'enter', audience: 'vip' };
    const row = { id: 1, event: 'added', audience: 'VIPs' };
    expect(read('hightouch', row, { audiences: { VIPs: 'vip' } }, { query }).changes).toMatchObject([
      { user: '1', event: 'enter', audiences: ['vip'] },
    ]);
  });

  test.each<[PresetName, object]>([
    ['customerio', { event: 'entered', segment: 'a', customer_id: 'c', attributes: 'oops' }],
    [
      'segment',
      {
        type: 'track',
        event: 'Audience Entered',
        userId: 'u',
        context: { traits: 'x' },
        properties: { audience_key: 'vip' },
      },
    ],
    ['segment', { type: 'identify', userId: 'u', traits: 'x', context: { personas: { computation_key: 'vip' } } }],
    ['posthog', { event: 'left', cohort: 'c', distinct_id: 'd', profile: 5 }],
    [
      'posthog',
      { event: { event: 'cohort left', distinct_id: 'd', properties: { cohort: 'c' } }, person: { properties: [] } },
    ],
    ['standard', { event: 'enter', audience: 'vip', user: 'u', profile: 'x' }],
    ['lytics', { id: 'u', data: 'x', segment_events: [{ id: 'a', event: 'enter' }] }],
  ])('%s: a profile that is no object is refused: %j', (preset, body) => {
    expect(read(preset, body).changes).toEqual([{ reason: expect.stringContaining('no JSON object') }]);
  });

  test('standard: a misspelt key is refused as by the API, and so is an event that contradicts its type', () => {
    const trigger = { event: 'enter', audience: 'vip', user: 'u' };
    const reason = 'it has no "profile" but "profil"';
    expect(read('standard', { ...trigger, profil: {} }).changes).toEqual([{ reason }]);
    expect(read('standard', { type: 'audience.entered', data: { ...trigger, profil: {} } }).changes).toEqual([
      { reason },
    ]);
    expect(read('standard', { type: 'audience.exited', data: trigger }).changes).toEqual([
      { reason: expect.stringContaining('say different things') },
    ]);
    expect(
      read('standard', { event: 'exit', mail: 'm', audience_id: 7 }, { userField: 'mail', audience: 'a' }).changes,
    ).toEqual([{ user: 'm', event: 'exit', audiences: ['a'] }]);
  });
});

describe('posthog', () => {
  test('the body that its webhook destination sends by itself', () => {
    const body = {
      event: {
        uuid: '0190',
        event: 'cohort entered',
        distinct_id: 'd-1',
        timestamp: '2026-11-27T08:30:00.000Z',
        properties: { cohort: 'power-users' },
      },
      person: { id: 'p', properties: { email: 'ada@example.com' } },
    };
    expect(read('posthog', body)).toEqual({
      changes: [
        {
          user: 'd-1',
          event: 'enter',
          audiences: ['power-users'],
          at: '2026-11-27T08:30:00.000Z',
          profile: { email: 'ada@example.com' },
        },
      ],
      ignored: 0,
      messageId: '0190',
    });
    expect(read('posthog', { event: { ...body.event, event: '$pageview' } })).toMatchObject({
      changes: [],
      ignored: 1,
    });
    expect(read('posthog', body, { userField: 'email' }).changes).toMatchObject([{ user: 'ada@example.com' }]);
  });

  test('a body that was made for it', () => {
    const body = { uuid: '1', event: 'left', cohort: 'power-users', distinct_id: 'd-1', timestamp: 1_795_768_200 };
    expect(read('posthog', body)).toEqual({
      changes: [{ user: 'd-1', event: 'exit', audiences: ['power-users'], at: '2026-11-27T08:30:00.000000000Z' }],
      ignored: 0,
      messageId: '1',
    });
  });
});

test('customerio: the body of a webhook action; reports about messages tell of no change', () => {
  const body = {
    event_id: 'e-1',
    event: 'entered',
    segment: 'big spenders',
    customer_id: 'c-1',
    timestamp: 1_795_768_200,
    attributes: { plan: 'pro' },
  };
  expect(read('customerio', body)).toEqual({
    changes: [
      {
        user: 'c-1',
        event: 'enter',
        audiences: ['big spenders'],
        at: '2026-11-27T08:30:00.000000000Z',
        profile: { plan: 'pro' },
      },
    ],
    ignored: 0,
    messageId: 'e-1',
  });
  const report = { event_id: 'e-2', object_type: 'email', metric: 'opened', timestamp: 1, data: { customer_id: 'c' } };
  expect(read('customerio', report)).toMatchObject({ changes: [], ignored: 1 });
});
