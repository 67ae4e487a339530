import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseJson } from '../../../src/domain/json.ts';
import {
  ItemsOmitted,
  readTemplate,
  TemplateFailed,
  templateProblem,
  type TemplateScope,
  TemplateSkipped,
} from '../../../src/features/templates/templates.ts';
import { EMPTY_VALUE, speltAs, type TemplateUse } from '../../../src/features/templates/template-values.ts';
import { jsonKey, jsonText, objectText } from '../../domain/a-json-text.ts';
import { always } from '../../support/properties.ts';

const scope: TemplateScope = {
  id: '../b/c\n"x"',
  data: parseJson(
    '{"email":"a\\"b{{ id }}","account":12345678901234567890123,"score":0.5,"tags":["a","b"],"nested":{"deep":[1]},"none":null}',
  ) as TemplateScope['data'],
  event: 'enter',
  action: 'entered',
  audience: { id: '0a', slug: 'vip', name: 'VIPs' },
  at: '2026-11-25T08:30:00Z',
  now: '2026-11-25T08:30:01Z',
  delivery_id: 'd1',
  attempt: 2,
  job: { label: 'CRM', subscription_id: 's1' },
  body: speltAs({ id: 'x', 7: 1 }, '{"id":"x","7":1}'),
};

/** All filters, as people are told of them. */
const FILTERS =
  /There are: (.*)\.$/.exec(templateProblem('{{ id | nothing_like_it }}', 'text') ?? '')?.[1]?.split(', ') ?? [];

// Each is a request of its own.
const rendered = (source: string): string => readTemplate(source, 'text').render({ ...scope });
const inUrl = (source: string): string => readTemplate(source, 'url').render({ ...scope });

test('a template names the person, what happened, its audience, the job and the attempt', () => {
  expect(
    rendered(
      '{{ event }} {{ action }} {{ audience.slug }} {{ audience.name }} {{ at }} {{ now }} {{ delivery_id }} {{ attempt }} {{ job.label }} {{ job.subscription_id }}',
    ),
  ).toBe('enter entered vip VIPs 2026-11-25T08:30:00Z 2026-11-25T08:30:01Z d1 2 CRM s1');
});

test('a value is never read as a template, whatever is in it', () => {
  expect(rendered('{{ data.email }}')).toBe('a"b{{ id }}');
  expect(rendered('{% assign x = data.email %}{% capture y %}{{ x }}{% endcapture %}{{ y }}')).toBe('a"b{{ id }}');
});

test('integers of any length keep their digits, and what is written as an object is JSON', () => {
  expect(rendered('{{ data.account }} {{ data.account | json }} {{ data | json }}')).toContain(
    '12345678901234567890123 12345678901234567890123 {"email":"a\\"b{{ id }}","account":12345678901234567890123,',
  );
  expect(rendered('{{ data.nested }} {{ data.nothing | json }} {{ data.tags | json }}')).toBe(
    '{"deep":[1]} null ["a","b"]',
  );
});

test('a template fails on a number too large for a double, and writes nothing in its place', () => {
  const data = parseJson('{"huge":1e400,"none":null,"in":{"list":[1,-1e400]}}') as TemplateScope['data'];
  for (const use of ['text', 'url'] as const)
    for (const source of [
      '{{ data.huge }}',
      '{{ data.huge | json }}',
      '{{ data.in | json }}',
      '{{ data | json }} {{ id }}',
    ])
      expect(() => readTemplate(source, use).render({ ...scope, data })).toThrow('a number is too large to be written');
  expect(readTemplate('{{ data.none | json }}', 'text').render({ ...scope, data })).toBe('null');
});

test('the default body is written byte for byte, and its fields can be named', () => {
  expect(rendered('{{ body }} {{ body | json }} {{ body.id }}')).toBe('{"id":"x","7":1} {"id":"x","7":1} x');
});

const OBJECTS = { o: { a: 1 }, l: [{ a: 1 }], t: ['a', { b: 1 }] };

test.each(
  ['append: "!"', 'upcase', 'date: "%Y"', 'slice: 0, 5', 'join: ","'].flatMap((filter) =>
    ['o', 'l', 't'].map((field) => [filter, field] as const),
  ),
)('the filter %s takes no object or list, of which it would make a text of its own: %s', (filter, field) => {
  const give = (source: string, use: TemplateUse): string =>
    readTemplate(source, use).render({ ...scope, data: OBJECTS });
  const isOfLists = filter.startsWith('slice') && field !== 'o';
  for (const use of ['text', 'url', 'json', 'xml'] as const) {
    if (isOfLists) continue;
    expect(() => give(`{{ data.${field} | ${filter} }}`, use)).toThrow(
      /^Line 1, column 1: the filter "\w+" takes text/,
    );
    expect(() => give(`{% assign x = data.${field} | ${filter} %}`, use)).toThrow(/takes text/);
  }
});

test('nothing that a template writes has [object Object] in it', () => {
  const data = OBJECTS;
  for (const { name, args } of [...FILTERS].map((name) => ({ name, args: ['', ': "a"', ': data.o', ': "a", data.o'] })))
    for (const arg of args)
      for (const field of ['o', 'l', 't', 'none']) {
        let text = '';
        try {
          text = readTemplate(`{{ data.${field} | ${name}${arg} }}`, 'text').render({ ...scope, data });
        } catch (error) {
          expect(error).toBeInstanceOf(TemplateFailed);
        }
        expect([name, arg, field, text]).not.toEqual([name, arg, field, expect.stringMatching(/\[object/i)]);
      }
});

test('a field is never counted in place of a field that is not there', () => {
  const data = { a: { b: 1 }, l: [1, 2], t: 'abc', own: { size: 'XL', first: 1 } };
  const give = (source: string): string => readTemplate(source, 'text').render({ ...scope, data });
  expect(give('{{ data.size | json }} {{ data.a.size | json }} {{ data.first | json }} {{ data.a.last | json }}')).toBe(
    'null null null null',
  );
  expect(give('{% unless data.size %}none{% endunless %} {{ data.own.size }} {{ data.own.first }}')).toBe('none XL 1');
  expect(give('{{ data.l.size }} {{ data.t.size }} {{ data.l.first }} {{ data["size"] }}')).toBe('2 3 1 ');
  expect(templateProblem('{{ data.size }}', 'text', { data: ['email'] })).toMatch(/leaves "size" out/);
});

test('templates have no filter that takes a key from the job', () => {
  expect(templateProblem('{{ id | hmac_sha256: "k" }}', 'text')).toMatch(
    /there is no filter "hmac_sha256".*authorization/,
  );
});

test('in a batch, skip leaves one of its items out, with the reason', () => {
  const [ann, bob] = [
    { ...scope, id: 'ann', data: {} },
    { ...scope, id: 'bob', data: { email: 'b' } },
  ];
  const source =
    '[{% for item in items %}{% unless item.data.email %}{% skip item.id %}{% endunless %}{{ item.id | json }},{% endfor %}]';
  const around = { now: scope.now, job: scope.job };
  const render = (items: (typeof ann)[]): string => readTemplate(source, 'json').render({ ...around, items });
  let reasons: ReadonlyMap<unknown, string> = new Map();
  try {
    render([ann, bob]);
  } catch (error) {
    if (error instanceof ItemsOmitted) ({ reasons } = error);
  }
  expect([...reasons]).toEqual([[ann, 'ann']]);
  expect(render([bob])).toBe('["bob",]');
  const outside = readTemplate('{% skip %}', 'json');
  expect(() => outside.render({ ...around, items: [ann] })).toThrow(/skip stands in a loop over "items"/);
  expect(templateProblem('{% skip %}', 'text', { batch: 'around' })).toMatch(/Only the body can skip/);
});

test('texts are hashed as hex, and written as base64', () => {
  expect(rendered('{{ "abc" | sha256 }} {{ "abc" | sha1 }} {{ "abc" | md5 }}')).toBe(
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad a9993e364706816aba3e25717850c26c9cd0d89d 900150983cd24fb0d6963f7d28e17f72',
  );
  expect(rendered('{{ "" | md5 }} {{ "é" | base64 }}')).toBe(' w6k=');
});

test('times are the same on every machine', () => {
  expect(rendered('{{ at | date: "%Y-%m-%d %H:%M %z" }}')).toBe('2026-11-25 08:30 +0000');
});

test('nothing that is not the person’s own can be reached', () => {
  expect(
    rendered(
      '{{ data.constructor }}{{ data.__proto__ }}{{ data.email.constructor }}{{ data.tags.constructor.name }}{{ body.constructor }}{{ data.toString }}',
    ),
  ).toBe('');
});

test.each([
  ['{% for i in (1..1000000000) %}x{% endfor %}', /too much memory/],
  ['{% for i in (1..9999) %}{% for j in (1..9999) %}{% endfor %}{% endfor %}', /repeats too much/],
  [`{% for i in (1..9999) %}${'x'.repeat(9999)}{% endfor %}`, /writes too much/],
  [`{% capture a %}{% for i in (1..9999) %}${'x'.repeat(9999)}{% endfor %}{% endcapture %}`, /writes too much/],
  ['{% assign a = "xxxxxxxxxx" %}{% for i in (1..40) %}{% assign a = a | append: a %}{% endfor %}', /too much memory/],
  [
    '{% assign a = "x" | split: "" %}{% for i in (1..40) %}{% assign a = a | concat: a %}{% endfor %}',
    /repeats too much/,
  ],
  ['{{ data.account | plus: 1 }}', /takes integers up to 9007199254740991/],
  [
    '{% assign a = "x" %}{% for i in (1..20) %}{% assign a = a | append: a %}{% endfor %}{{ a | replace: "x", a }}',
    /memory/,
  ],
])('%.70s… stays within its bounds', (source, why) => {
  const startedAt = performance.now();
  expect(() => rendered(source)).toThrow(why);
  expect(() => rendered(source)).toThrow(/^Line 1, column \d+: /);
  // Far more than it takes, and far less than it would take.
  expect(performance.now() - startedAt).toBeLessThan(5000);
});

test.each([
  '{% for i in (1..700) %}{% if data.b contains "<x" %}{% endif %}{% endfor %}',
  '{% for i in (1..1000) %}{% assign x = data.l | where: "b", "y" %}{% endfor %}',
  '{% for i in (1..1000) %}{% if data.l contains "y" %}{% endif %}{% endfor %}',
  '{{ data.l | concat: data.l | concat: data.l | concat: data.l | reject: "a", 5 | size }}',
])('%s is stopped by what it does, and not by the time that it takes', (source) => {
  const data = { b: '<'.repeat(60_000), l: Array.from({ length: 5_000 }, (_, a) => ({ a })) };
  expect(() => readTemplate(source, 'text').render({ ...scope, data })).toThrow(/repeats too much/);
});

/** The processor time that a call takes, in ms. */
function processorMsOf(call: () => unknown): number {
  const before = process.cpuUsage();
  call();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

test('tags that write nothing count as steps, each time that a check tries them', () => {
  const body = `{}{% for i in (1..19000) %}${'{%assign a=i%}'.repeat(1000)}{% endfor %}`;
  let problem: string | undefined;
  expect(processorMsOf(() => (problem = templateProblem(body, 'json')))).toBeLessThan(1500);
  expect(problem).toMatch(/repeats too much/);
});

test.each([
  '{% if data.list == data.list2 %}{% endif %}',
  '{% if data.list != data.list2 %}{% endif %}',
  '{% case data.list %}{% when data.list2 %}{% endcase %}',
])('lists that a template compares count entry by entry: %s', (comparison) => {
  const list = Array.from({ length: 5000 }, (_, n) => n);
  const given = { ...scope, data: { list, list2: [...list] } };
  const source = `{% for i in (1..100) %}${comparison}{% endfor %}`;
  expect(() => readTemplate(source, 'text').render(given)).toThrow(/repeats too much/);
  const answers = `{{ data.list == data.list2 }}{{ data.list != data.list2 }}${comparison}`;
  expect(readTemplate(answers, 'text').render(given)).toBe('truefalse');
});

test('a template whose steps take long is ended by its processor time, which the renderings of a request share', () => {
  const data = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`f${n}`, n]));
  const request = { ...scope, data };
  const template = readTemplate('{% for i in (1..5000) %}{% for x in data limit: 0 %}{% endfor %}{% endfor %}', 'text');
  const render = (): void => expect(() => template.render(request)).toThrow(/takes too long/);
  expect(processorMsOf(render)).toBeLessThan(3000);
  expect(processorMsOf(render)).toBeLessThan(500);
});

test('the processor time of other threads does not count', async () => {
  const others = [1, 2, 3].map(() => new Worker('for (;;);', { eval: true }));
  await Promise.all(others.map((other) => once(other, 'online')));
  const data = {
    get slow() {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200);
      return 1;
    },
  };
  try {
    expect(readTemplate('{% if data.slow %}{{ id }}{% endif %}', 'text').render({ ...scope, data })).toBe(scope.id);
  } finally {
    await Promise.all(others.map((other) => other.terminate()));
  }
});

const NOTHINGS = Array.from({ length: 300_000 }, () => null);

test.each([
  ['lists that write nothing', '{{ data.list }}'.repeat(1000)],
  [
    'lists in lists, compared in one tag',
    `{% if data.in == data.in2${' and data.in == data.in2'.repeat(500)} %}{% endif %}`,
  ],
  [
    'a list that is compared with each branch',
    `{% case data.list %}${'{% when data.list2 %}'.repeat(700)}{% endcase %}`,
  ],
])('%s do not hold the worker', (_, source) => {
  const data = { list: NOTHINGS, list2: [...NOTHINGS], in: [NOTHINGS], in2: [[...NOTHINGS]] };
  const render = (): void =>
    expect(() => readTemplate(source, 'text').render({ ...scope, data })).toThrow(/takes too long|repeats too much/);
  expect(processorMsOf(render)).toBeLessThan(3000);
});

test.each(['push: a', 'unshift: a', 'concat: data.list | push: a'])(
  'a list does not double without end: %s',
  (filters) => {
    const source = `{% assign a = "x" | split: "," %}{% for i in (1..40) %}{% assign a = a | ${filters} %}{% endfor %}`;
    expect(() => readTemplate(source, 'text').render({ ...scope, data: { list: ['y'] } })).toThrow(/repeats too much/);
  },
);

test('all templates of a request have the same bounds together', () => {
  const request = { ...scope };
  const template = readTemplate('{% for i in (1..8000) %}{{ i }}{% endfor %}', 'text');
  expect(template.render(request)).toMatch(/8000$/);
  expect(() => template.render(request)).toThrow(/repeats too much/);
  expect(template.render({ ...scope })).toMatch(/8000$/);
});

test('in a URL nothing is captured, since it would be encoded twice', () => {
  expect(templateProblem('/{% capture x %}{{ id }}{% endcapture %}{{ x }}', 'url')).toMatch(/capture.*Use assign/);
});

test('a template that names a field left out by the export fields is a problem', () => {
  const data = ['first_name', 'account'];
  expect(templateProblem('{{ data.first_name }}{{ data.account.id }}{{ data }}', 'text', { data })).toBeUndefined();
  expect(templateProblem('{{ data.frist_name }}', 'text', { data })).toMatch(/leaves "frist_name" out.*"first_name"/);
  expect(templateProblem('{{ data.anything }}', 'text')).toBeUndefined();
  expect(templateProblem('{{ event.type }}', 'text')).toMatch(/"event" has nothing below it/);
});

test("a template's counters do not outlive its rendering", () => {
  const counting = readTemplate('{% increment id %}{% increment n %}', 'text');
  expect([counting.render(scope), counting.render(scope)]).toEqual([expect.anything(), counting.render(scope)]);
  expect(rendered('{{ id }}')).toBe(scope.id);
});

test('a person is skipped with a reason, from anywhere in a template', () => {
  expect(() => rendered('{% skip "no mail" %}')).toThrow(new TemplateSkipped('no mail'));
  expect(() => rendered('{% if data.tags contains "a" %}{% skip data.tags[1] %}{% endif %}')).toThrow(
    new TemplateSkipped('b'),
  );
  expect(() => rendered('{% skip %}')).toThrow(new TemplateSkipped(''));
});

test('in a URL, each value is one piece of it, and an empty one shows', () => {
  expect(inUrl('/m/{{ id }}?e={{ data.email }}')).toBe('/m/..%2Fb%2Fc%0A%22x%22?e=a%22b%7B%7B%20id%20%7D%7D');
  expect(inUrl('/{% echo id %}/{% cycle id %}')).toBe('/..%2Fb%2Fc%0A%22x%22/..%2Fb%2Fc%0A%22x%22');
  expect(inUrl('/{{ data.none }}/{{ data.none | raw }}/{{ audience.slug | append: "/x" | raw }}')).toBe(
    `/${EMPTY_VALUE}/${EMPTY_VALUE}/vip/x`,
  );
});

test.each([
  ['{{ id | jsn }}', 'Line 1, column 1: there is no filter "jsn". Did you mean "json"?'],
  ['\n  {{ dta.email }}', 'Line 2: there is nothing called "dta". Did you mean "data"?'],
  ['{{ audience.slgu }}', 'Line 1: "audience" has nothing called "slgu". Did you mean "slug"?'],
  ['{{ constructor }}', /^Line 1: there is nothing called "constructor"\. There are: id, data, event/],
  ['{% if id %}', 'Line 1, column 1: tag {% if id %} not closed'],
  ['\n{{ id ', 'Line 2, column 1: output "{{ id " not closed'],
  ['{% include "/etc/passwd" %}', 'Line 1, column 1: tag "include" not found'],
  ['{% render "x" %}', 'Line 1, column 1: tag "render" not found'],
  ['{{ data.tags | where_exp: "x", data.email }}', /there is no filter "where_exp"/],
])('%j is a problem of the job', (source, message) => {
  expect(templateProblem(source, 'text')).toEqual(
    typeof message === 'string' ? message : expect.stringMatching(message),
  );
});

test.each([
  '{{ id }}',
  'no template',
  '{% assign x = data.tags | first %}{{ x }}',
  '{% for t in data.tags %}{{ forloop.index }}{{ t }}{% endfor %}',
  '{% capture c %}{{ id }}{% endcapture %}{{ c }}',
  '{% skip data.email %}',
  '{% comment %}{{ nobody }}{% endcomment %}',
])('%j is no problem of a template', (source) => {
  expect(templateProblem(source, 'text')).toBeUndefined();
});

/** Values as a person's fields may have them, under names that templates stumble over. */
const name = fc.oneof(
  fc.constantFrom('email', 'a', 'b', 'size', 'first', 'last', 'length', '0', 'nil', 'empty', 'toString', 'a-b'),
  jsonKey,
);
const fieldValue = fc.oneof(
  jsonText,
  fc.array(jsonText).map((items) => `[${items.join(',')}]`),
  fc.array(fc.tuple(name, jsonText)).map((fields) => objectText(fields)),
);
const person = fc
  .tuple(fieldValue, fc.array(fc.tuple(name, fieldValue)))
  .map(([a, fields]) => parseJson(objectText([...fields, ['a', a]])) as TemplateScope['data']);

/** What stands in a template: texts, and outputs of what a path leads to, as people write them. */
const path = fc.oneof(
  fc.constantFrom('id', 'attempt', 'body', 'data', 'audience.slug', 'job', 'nobody', 'data.email', 'body.id'),
  fc.constantFrom('data.a', 'data.a.size', 'data.a.first', 'data.a.last', 'data.a.a', 'data.a.length', 'data.a["0"]'),
  fc
    .array(
      fc.oneof(
        name.filter((one) => /^[a-z]\w*$/i.test(one)).map((one) => `.${one}`),
        name.filter((one) => !/["'\\]/.test(one)).map((one) => `["${one}"]`),
        fc.constantFrom('[0]', '[-1]', '[data.a]'),
      ),
      { maxLength: 3 },
    )
    .map((names) => `data${names.join('')}`),
);
const piece = fc.oneof(
  fc.constantFrom('"', ' ', '/', '{', '}', ',', '\n', '\\', 'é\ud800', '{"a": ', '?x='),
  fc
    .tuple(path, fc.constantFrom('', ' | json', ' | json | json', ' | json: 2', ' | jsonify', ' | raw', ' | upcase'))
    .chain(([said, filters]) =>
      fc.constantFrom(`{{ ${said}${filters} }}`, `{{-${said}${filters}-}}`, `{{${said}${filters}}}`),
    ),
);
const pieces = fc.array(piece, { maxLength: 8 }).map((all) => `${all.join('')}.`);

/** What comes of a template, or of its failing. */
function outcome(source: string, use: TemplateUse, given: TemplateScope): string {
  try {
    return `gives ${readTemplate(source, use).render(given)}`;
  } catch (error) {
    return String(error);
  }
}

test.each(['text', 'url', 'json', 'xml'] as const)(
  'a %s is written the same without LiquidJS, where it is not needed',
  (use) => {
    // With a tag, it is.
    const byLiquid = (source: string, given: TemplateScope): string =>
      outcome(`${source}{% comment %}{% endcomment %}`, use, given);
    const property = fc.property(pieces, person, (source, data) => {
      const given = { ...scope, data };
      fc.pre(templateProblem(source, use)?.includes('not closed') !== true);
      expect(outcome(source, use, given)).toBe(byLiquid(source, given));
    });
    always(property);
  },
);

test.each([
  ['written', '{{ data.text }}'.repeat(3)],
  ['written as JSON', '{{ data.text | json }}'.repeat(3)],
  ['counted as JSON, which is longer', '{{ data.quotes | json }}{{ data.quotes }}'],
])('text %s has the same bounds without LiquidJS', (_, source) => {
  for (const length of [699_049, 699_050, 699_051, 699_052]) {
    const given = { ...scope, data: { text: 'x'.repeat(length), quotes: '"'.repeat(length) } };
    for (const use of ['text', 'url'] as const)
      expect(outcome(source, use, given).slice(0, 99)).toBe(
        outcome(`${source}{% comment %}{% endcomment %}`, use, given).slice(0, 99),
      );
  }
});
