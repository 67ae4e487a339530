import { expect, test } from '@jest/globals';
import { fieldsInTemplates, unknownFields } from '../../../src/client/jobs/start-job.ts';

const KNOWN = ['email', 'name', 'address', 'address.city'];

test.each([
  ['emial', 'the field "emial". Did you mean "email"?'],
  ['address.ctiy', 'the field "address.ctiy". Did you mean "address.city"?'],
  ['email,name', 'the field "email,name". Name each field by itself: "email", "name".'],
  ['email, phone', 'the field "email, phone". Name each field by itself: "email", "phone".'],
  ['loyalty_points', 'the field "loyalty_points".'],
])('of %s, which no profile has, it is said what was most likely meant', (field, said) => {
  expect(unknownFields(['email', field], KNOWN)).toEqual([`No profile that was looked at has ${said}`]);
});

test('the fields that templates name are looked for like export fields', () => {
  const job = {
    webhookUrl: 'https://a.example/{{ data.crm_id }}/data.no?x={{ body.data.size }}',
    headers: { 'x-a': '{{ data.a-b.c | append: "data.no" }}' },
    body: 'data.no {% for t in data.tags %}{{ t.data.no.first }}{% endfor %}{{ data.tags.first.x }}{{data["x"]}}{{ mydata.no }}',
    onEnter: { body: '[{% for item in items %}{{ item.data.email | json }}{% endfor %}]' },
    onExit: { headers: { 'x-a': '{%if data.emial%}{%endif%}' }, webhookUrl: null },
  };
  expect(fieldsInTemplates(job)).toEqual(['crm_id', 'size', 'a-b.c', 'tags', 'no', 'email', 'emial']);
  expect(unknownFields(['segments_all', 'segment_events.first', '_audience'], KNOWN)).toEqual([]);
});

test('nothing is said of fields that a profile has, of what is always sent, and where no profile is known', () => {
  expect(unknownFields([...KNOWN, 'segment_events'], KNOWN)).toEqual([]);
  expect(unknownFields(['emial'], [])).toEqual([]);
});

test('nothing is said where not every field is listed: too many, or too deep', () => {
  const many = Array.from({ length: 1000 }, (_, n) => `field-${n}`);
  expect(unknownFields(['emial'], many)).toEqual([]);
  expect(unknownFields(['a.b.c.d.e.f.g.h.i'], KNOWN)).toEqual([]);
});
