import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { effectiveShape } from '../../../src/contract/request-shape.ts';
import { jsonFrom } from '../../../src/features/templates/json-template.ts';
import { readTemplate, TemplateFailed, templateProblem } from '../../../src/features/templates/templates.ts';
import { always } from '../../support/properties.ts';

const problemOf = (body: string, batch?: 'body') => templateProblem(body, 'json', { batch });

test.each([
  ['a quote is missing', '{"a": "x, "b": {{ data.n | size }}}', '{"a": "x, "b": 1}\n             ^'],
  ['a quote is missing at the end', '{"a": {{ id | json }}, "b": "x}', '"b": "x}'],
  ['a comma is missing', '{"a": {{ id | json }} "b": 1}', '{"a": "1" "b": 1}'],
  ['an object is not closed', '{"a": {{ id | json }}', '{"a": "1"\n'],
  ['a list is closed as an object', '{"a": [{{ id | json }}}}', '["1"}}'],
  ['it is closed twice', '{"a": {{ id | json }}}}', '"1"}}\n            ^'],
  ['a colon is missing', '{"a" {{ id | json }}}', '{"a" "1"}'],
  ['a name has no quotes', '{a: {{ id | json }}}', '{a: "1"}\n   ^'],
  ['a text has no quotes', '{"a": hello {{ id }}}', '{"a": hello 1}'],
  ['a number is none', '{"a": 01, "b": {{ id | json }}}', '{"a": 01'],
  ['all branches are wrong', '{"a": {% if data.x %}1,,{% else %}2,,{% endif %}}', '{"a": 1,'],
  ['what is left for those who are not skipped is wrong', '{% if data.x %}{% skip %}{% endif %}{"a" 1}', '{"a" 1}'],
])('%s: refused, and shown', (_, body, shown) => {
  const message = problemOf(body) ?? '';
  expect(message).toContain('can never be valid JSON');
  expect(message).toContain(shown);
});

test.each([
  ['{"id": {{ id | json }}, "name": "{{ data.first_name }}"}', 'Line 1, column 34', undefined],
  ['{"id": "{{ id }}"}', 'Line 1, column 9', undefined],
  ['{"a": "{% if data.x %}VIP {{ data.name | upcase }}{% endif %}"}', 'Line 1, column 27', undefined],
  ['{"a": "\\"{{ body.data.x }}"}', 'Line 1, column 10', undefined],
  ['{"a": "{{ audience.name }}"}', 'Line 1, column 8', undefined],
  ['{"a": "{{ data.x | escape }}"}', 'Line 1, column 8', undefined],
  ['{"a": "{{ data.x | raw }}"}', 'Line 1, column 8', undefined],
  ['[{% for item in items %}{"n":\n "{{ item.data.name }}"},{% endfor %}]', 'Line 2, column 3', 'body'],
  ['[{% for item in items %}"{{ item.id }}",{% endfor %}]', 'Line 1, column 26', 'body'],
] as const)('a value that could end its quotes is refused: %s', (body, place, batch) => {
  expect(problemOf(body, batch)).toContain(`${place}: a value between quotes`);
});

test.each(['{"id": "{{ id | json }}"}', '{"n": "{{ data.count | json_or_omit }}"}'])(
  'quotes around a filter that writes its own quotes are refused: %s',
  (body) => {
    expect(problemOf(body)).toMatch(/^Line 1, column \d+: the filter json(?:_or_omit)? writes quotes of its own/);
  },
);

test.each([
  '{{ body }}',
  '{"a": {{ id | json }}}',
  '{"a": {{ id }}}',
  '{"n": {{ data.n }}, "more": [{{ data.numbers | join: "," }}]}',
  '{"a": "{{ event }} {{ action }} {{ audience.slug }} {{ audience.id }} {{ at }} {{ now }} {{ delivery_id }} {{ attempt }}"}',
  '{"h": "{{ data.email | downcase | sha256 }}", "u": "{{ id | url_encode }}"}',
  '{"a": "x{% if data.b %}y{% else %}z{% endif %}", "b": {{ data.b | json }}}',
  '{"a": {% if data.x %}"x{% else %}"y{% endif %}", "b": {{ data.b | json }}}',
  '{"a": {% case data.x %}{% when 1 %}"one"{% when 2, 3 %}"more"{% else %}null{% endcase %}}',
  '[{% for x in data.l %}{{ x | json }}{% unless forloop.last %},{% endunless %}{% endfor %}]',
  '[{% for x in data.l %}{{ x | json }},{% endfor %}]',
  '{"a": {{ data.a | json_or_omit }}, "b": {{ data.b | json_or_omit }}}',
  '{% if data.tier == "gold" %}{"a": 1}{% endif %}',
  '{% if data.tier == "gold" %}{"a": 1}{% else %}{% skip "no gold" %}{% endif %}',
  '{% capture close %}}{% endcapture %}{"a": 1{{ close }}',
  '{% capture one %}{"a": {{ data.a | json }}}{% endcapture %}{{ one | raw }}',
  '{% assign kind = "vip" %}{"a": "{{ kind }}"}',
  '{% raw %}{"a": "{{ id }}"}{% endraw %}',
  '{% comment %}{ "a {% endcomment %}{"a": {{ id | json }}}',
  '{"a": {{ data.a | plus: 1 }}, "b": {{ data.b | date: "%s" }}, "c": [{{ data.l | join: "," }}]}',
  '{{ data.name | json }}',
])('no alarm: %s', (body) => {
  expect(problemOf(body)).toBeUndefined();
});

test('a template that fails for everybody is refused with the reason', () => {
  expect(problemOf('{% capture one %}{"a": 1}{% endcapture %}{{ one }}')).toMatch(/column 42: a value has a quote/);
});

test('none of the examples and pages is refused, and each is without its last character', () => {
  const pages = ['docs/requests.md', 'docs/jobs.md', 'docs/from-lytics.md', 'docs/errors.md'].flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/^```json[^\n]*\n(.*?)^```/gms)].map(([, json = '']) => json),
  );
  const files = readdirSync('examples/endpoints').filter((name) => name.endsWith('.json'));
  const examples = files.map((name) => readFileSync(`examples/endpoints/${name}`, 'utf8'));
  const jobs = [...pages, ...examples]
    .map((json) => JSON.parse(json) as Parameters<typeof effectiveShape>[0] & { batch?: object })
    .filter(({ webhookUrl }) => webhookUrl !== undefined);
  let bodies = 0;
  for (const job of jobs) {
    for (const event of ['enter', 'exit'] as const) {
      const { body } = effectiveShape(job, event);
      if (body === null || body === 'default') continue;
      bodies++;
      const said = problemOf(body.template, job.batch === undefined ? undefined : 'body');
      expect([body.template, said]).toEqual([body.template, undefined]);
      const broken = problemOf(body.template.trimEnd().slice(0, -1), job.batch === undefined ? undefined : 'body');
      expect([body.template, broken]).not.toEqual([body.template, undefined]);
    }
  }
  expect(bodies).toBeGreaterThan(15);
});

test.each([
  ['{"a": \0, "b": 1}', { b: 1 }],
  ['{"b": 1, "a": \0}', { b: 1 }],
  ['{"a" : \0 , "c": \0}', {}],
  ['[\0, 1, \0]', [1]],
  ['{"x": {"a": \0, "b": "\\", : ,]"}, }', { x: { b: '", : ,]' } }],
  ['[{"a": 1},\n]', [{ a: 1 }]],
  ['{"a": ",]", "b": [1,],}', { a: ',]', b: [1] }],
])('%j means %j', (text, value) => {
  expect(JSON.parse(jsonFrom(text))).toEqual(value);
});

test('the worker keeps valid JSON as it is, and makes no JSON of text with other mistakes', () => {
  always(
    fc.property(fc.json(), (json) => {
      expect(jsonFrom(json)).toBe(json);
    }),
  );
  for (const wrong of ['{"a": 1,,}', '[,]x', '{"a": "x,}', ',', '{"a": 1 "b": 2}'])
    expect(() => JSON.parse(jsonFrom(wrong)) as unknown).toThrow(SyntaxError);
});

test('a text of quotes and commas is put right in a time that grows with its length', () => {
  const startedAt = performance.now();
  for (const text of [
    '"\\"'.repeat(50_000),
    `{"a": "${'\\",'.repeat(50_000)}`,
    ' ,'.repeat(70_000),
    '"'.repeat(99_999),
  ])
    jsonFrom(text);
  // Were it the square of it, this would take minutes.
  expect(performance.now() - startedAt).toBeLessThan(5000);
});

test('a person cannot write extra fields, whatever their profile contains', () => {
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom('x","role":"admin', '\\', '","role":"admin', '1,"role":1', '"', '\n'),
  );
  const pieces = [
    '{{ data.a }}',
    '{{ data.a | upcase }}',
    '{{ data.a | escape }}',
    '{% echo data.a %}',
    '{{ data.a | truncate: 99 }}',
  ];
  always(
    fc.property(value, value, fc.constantFrom(...pieces), (a, b, piece) => {
      const body = `{"n": "${piece}", "m": "{{ data.b }}"}`;
      let text: string;
      try {
        text = readTemplate(body, 'json').render({ data: { a, b } } as never);
      } catch (error) {
        expect(error).toBeInstanceOf(TemplateFailed);
        return;
      }
      expect(Object.keys(JSON.parse(text) as object)).toEqual(['n', 'm']);
    }),
  );
});

test.each([
  '{{ data.o }}',
  '{% assign o = data.o %}{{ o }}',
  '{{ data.none | default: data.o }}',
  '{% assign none = data.none %}{{ none | default: data.o }}',
  '{% for o in data.list %}{{ o }}{% endfor %}',
  '{% for o in data.list %}{% echo o | json %}{% endfor %}',
  '{% echo data.o %}',
  '{% echo data.o | json %}',
  '{% echo data.text | json %}',
  '{% cycle data.o %}',
  '{% cycle data.o | json %}',
])('nothing that a person has in a field leaves the quotes around %s', (piece) => {
  const body = `["${piece}"]`;
  if (problemOf(body)?.includes('quotes') === true) return;
  // Names and values that are JSON where the quotes around them are taken for others.
  for (const o of [{ ',': ',' }, { ',': 1, ':': ',' }]) {
    const data = { o, list: [o], text: ',' };
    expect(() => readTemplate(body, 'json').render({ data } as never)).toThrow(TemplateFailed);
  }
});
