import { expect, test } from '@jest/globals';
import { unknownFields } from '../../../src/client/jobs/start-job.ts';

const KNOWN = ['email', 'name', 'address', 'address.city'];

test.each([
  ['emial', 'the export field "emial". Did you mean "email"?'],
  ['address.ctiy', 'the export field "address.ctiy". Did you mean "address.city"?'],
  ['email,name', 'the export field "email,name". Name each field by itself: "email", "name".'],
  ['email, phone', 'the export field "email, phone". Name each field by itself: "email", "phone".'],
  ['loyalty_points', 'the export field "loyalty_points".'],
])('of %s, which no profile has, it is said what was most likely meant', (field, said) => {
  expect(unknownFields(['email', field], KNOWN)).toEqual([`No profile that was looked at has ${said}`]);
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
