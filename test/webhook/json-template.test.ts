import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { effectiveShape } from '../../src/contract/request-shape.ts';
import { readTemplate, templateProblem } from '../../src/webhook/templates.ts';

const problemOf = (body: string, batch?: 'body') => templateProblem(body, 'text', { isJson: true, batch });

test.each([
  ['a quote is missing', '{"a": "x, "b": {{ id | json }}}', 'Line 1, column 12'],
  ['a quote is missing at the end', '{"a": {{ id | json }}, "b": "x}', 'Line 1: '],
  ['a comma is missing', '{"a": {{ id | json }} "b": 1}', 'Line 1, column 23'],
  ['a comma is too many', '{\n  "a": {{ id | json }},\n}', 'Line 3, column 1'],
  ['a comma is too many in a list', '[{{ id | json }},]', 'Line 1, column 18'],
  ['an object is not closed', '{"a": {{ id | json }}', 'Line 1: '],
  ['an object is not closed, after a bare value', '{"a": {{ id }}', 'Line 1: '],
  ['a list is closed as an object', '{"a": [{{ id | json }}}}', 'Line 1, column 23'],
  ['it is closed twice', '{"a": {{ id | json }}}}', 'Line 1, column 23'],
  ['a colon is missing', '{"a" {{ id | json }}}', 'Line 1, column 6'],
  ['a name has no quotes', '{a: {{ id | json }}}', 'Line 1, column 2'],
  ['a name has single quotes', "{'a': {{ id | json }}}", 'Line 1, column 2'],
  ['a text has no quotes', '{"a": hello {{ id }}}', 'Line 1, column 12'],
  ['a line ends within a text', '{"a": "x\n{{ id }}"}', 'Line 1, column 9'],
  ['an escape is none', String.raw`{"a": "\x{{ id }}"}`, 'Line 1, column 9'],
  ['a number is none', '{"a": 01, "b": {{ id | json }}}', 'Line 1, column 9'],
  ['a comment is left', '{ // who\n"a": {{ id | json }}}', 'Line 1, column 3'],
  ['all branches are wrong', '{"a": {% if data.x %}1,{% else %}2,{% endif %}}', 'Line 1, column 47'],
  [
    'a loop has no commas and is between others',
    '[1, {% for x in data.l %}{{ x | json }},{% endfor %}]',
    'Line 1, column 53',
  ],
  [
    'what is left for those who are not skipped is wrong',
    '{% if data.x %}{% skip %}{% endif %}{"a" {{ id | json }}}',
    'column 42',
  ],
  ['nothing is written at all', '{% assign a = id %}', 'Line 1: '],
  ['two values follow each other', '{{ body }} {{ data | json }}{"a": 1} x', 'Line 1, column 38'],
  ['a capture hides nothing of what is around it', '{% capture a %}}{% endcapture %}{"a": {{ a | json }}', 'Line 1: '],
])('%s: refused, with the place', (_, body, place) => {
  const message = problemOf(body);
  expect(message).toContain(place);
  expect(message).toContain('can be JSON for nobody');
});

test.each([
  '{{ body }}',
  '{"a": {{ id | json }}}',
  '{"a": {{ id }}}',
  '{"a": "{{ id }}", "b": "x {{ data.first }} {{ data.last }}"}',
  '"{{ id | json }}"',
  '{"a": "{{ data.count | json }}"}',
  '[1{{ data.count | json }}, {{ data.count | json }}5, -{{ data.count }}.5e{{ data.count }}]',
  '[{{ data.count | json }}5]',
  '{% for x in data.l %}{% if forloop.first %}{"a":{% elsif forloop.last %}1}{% endif %}{% endfor %}',
  '{ {{ data.members }} }',
  '{ {{ data.members }}, "b": 1}',
  '{{ id | json }}',
  '{{ id }}',
  ' {%- if data.x -%} {"a": 1} {%- else -%} [] {%- endif -%} ',
  '{"a": {% if data.x %}1{% endif %}}',
  '{"a": 1{% if data.x %}, "x": {{ data.x | json }}{% endif %}{% unless data.y %}, "y": 1{% endunless %}}',
  '{ {% if data.x %}"x": 1{% if data.y %},{% endif %}{% endif %}{% if data.y %}"y": 2{% endif %}}',
  '{"a": {% case data.x %}{% when 1 %}"one"{% when 2, 3 %}"more"{% else %}null{% endcase %}}',
  '[{% for x in data.l %}{{ x | json }}{% unless forloop.last %},{% endunless %}{% endfor %}]',
  '[{% for x in data.l %}{% if forloop.first %}{% else %},{% endif %}{"x": {{ x }}}{% endfor %}]',
  '[{% for x in data.l %}{{ x | json }},{% else %}{% endfor %}null]',
  '[{% for x in data.l %}{{ x | json }},{% endfor %}]',
  '{% for x in data.l %}{"a":{% endfor %}1{% for x in data.l %}}{% endfor %}',
  '{% for x in data.l %}{% if x %}{% break %}{% endif %},{% endfor %}{"a": 1}',
  '{% for i in (1..3) %}{{ i }}{% endfor %}',
  '{% assign open = "{" %}{{ open }}"a": 1}',
  '{% capture close %}}{% endcapture %}{"a": 1{{ close }}',
  '{% assign parts = data.x | split: "," %}{"a": {{ parts | json }}}',
  '{{ "{" }}"a": 1}',
  '{"a": {{ data.json | slice: 0, 3 }}',
  '{{ data.json | remove: "}" }}, "a": 1}',
  '{% raw %}{"a": "{{ id }}"}{% endraw %}',
  '{% comment %}{ "a {% endcomment %}{"a": {{ id | json }}}',
  '{% # an { inline comment %}{"a": {{ id | json }}}',
  '{% liquid\n echo "{"\n echo "}" %}',
  '{% echo "{" %}}',
  '{"a": {% cycle "1", "2" %}}',
  '{"a": {% increment n %}}',
  '{% tablerow x in data.l %}{{ x }}{% endtablerow %}',
  '{% skip "nobody" %}',
  '{% unless data.email %}{% skip "no email" %}{% endunless %}{"email": {{ data.email | json }}}',
  '{% if data.x %}{"a": {{ id | json }}}{% else %}{% skip "no x" %}{% endif %}',
  String.raw`{"a": "\u00e9\n\"{{ id }}\\", "b": {{ data.b | default: null | json }}}`,
  String.raw`{"a": "\{{ data.letter }}"}`,
  '{"a": {{ data.a | plus: 1 }}, "b": {{ data.b | date: "%s" }}, "c": [{{ data.l | join: "," }}]}',
  '{"{{ data.name }}": 1, {{ data.name | json }}: 2}',
  '{"t{% if data.x %}rue": true{% else %}alse": false{% endif %}}',
  '{"a": t{% if data.x %}rue{% else %}{% skip %}{% endif %}}',
  '{"a": {% if data.x %}"x{% else %}"y{% endif %}"}',
])('no alarm: %s', (body) => {
  expect(problemOf(body)).toBeUndefined();
});

test('what no example and no page gives JSON by is refused, and none of theirs is', () => {
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
      // Without its last character, none of them gives JSON, whoever it is about.
      const broken = problemOf(body.template.trimEnd().slice(0, -1), job.batch === undefined ? undefined : 'body');
      expect([body.template, broken]).not.toEqual([body.template, undefined]);
    }
  }
  expect(bodies).toBeGreaterThan(15);
});

test('whatever gives JSON for somebody is never refused', () => {
  const literal = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '"a"',
    '1',
    'true',
    ' ',
    '{"a":',
    '}}',
    '"x":1',
    'e',
    '-',
  );
  const output = fc.constantFrom('{{ data.a | json }}', '{{ data.b }}', '{{ data.c }}', '{{ data.b | upcase }}');
  const { piece } = fc.letrec<{ piece: string }>((tie) => {
    const some = fc.array(tie('piece'), { maxLength: 4 }).map((pieces) => pieces.join(''));
    return {
      piece: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        literal,
        output,
        some.map((inner) => `{% if data.d %}${inner}{% endif %}`),
        fc.tuple(some, some).map(([a, b]) => `{% unless data.d %}${a}{% else %}${b}{% endunless %}`),
        some.map((inner) => `{% for x in data.l %}${inner}{% unless forloop.last %},{% endunless %}{% endfor %}`),
        some.map((inner) => `{% case data.d %}{% when true %}${inner}{% when false, true %},{% else %}1{% endcase %}`),
      ),
    };
  });
  const value = fc.constantFrom<unknown>(
    1,
    'x',
    '',
    null,
    true,
    [1, 2],
    { k: 'v' },
    '"t"',
    '"k":2',
    ',3',
    '1,',
    '"',
    ':1,"a"',
  );
  const data = fc.record({ a: value, b: value, c: value, d: fc.boolean(), l: fc.constantFrom([], [1], [1, 2]) });
  let parsed = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.array(data, { minLength: 3, maxLength: 3 }), (pieces, people) => {
      const body = `{% comment %}{% endcomment %}${pieces.join('')}`;
      const gives = people.some((one) => {
        try {
          JSON.parse(readTemplate(body, 'text').render({ data: one } as never));
          return true;
        } catch {
          return false;
        }
      });
      if (!gives) return;
      parsed++;
      expect([body, problemOf(body)]).toEqual([body, undefined]);
    }),
    { numRuns: 2000 },
  );
  expect(parsed).toBeGreaterThan(20);
});
