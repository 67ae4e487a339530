import { expect, test } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/common';
import { UnknownPayloadKey } from '../../src/temporal/encrypting-codec.ts';
import { failureConverter } from '../../src/temporal/failure-converter.ts';
import { payloadConverter } from '../../src/temporal/payload-converter.ts';

const failureOf = (error: Error) => failureConverter.errorToFailure(error, payloadConverter);
const inTheClear = (error: Error) => JSON.stringify({ ...failureOf(error), encodedAttributes: undefined });

test('what a failure says, and where it happened, is a payload; so is what caused it', () => {
  const cause = new TypeError('cause: linnea@example.com');
  const error = ApplicationFailure.create({ message: 'linnea@example.com', type: 'InvalidJob', cause });
  expect(inTheClear(error)).toContain('InvalidJob');
  expect(inTheClear(ApplicationFailure.nonRetryable('linnea@example.com'))).not.toMatch(/linnea|failure-converter/);
  expect(failureOf(error).cause).toMatchObject({ message: 'Encoded failure', stackTrace: '' });
  const read = failureConverter.failureToError(failureOf(error), payloadConverter);
  expect(read).toMatchObject({ message: 'linnea@example.com', cause: { message: 'cause: linnea@example.com' } });
});

test.each([
  ['as it is thrown', (error: Error) => error],
  ['as an activity fails with it', (error: Error) => ApplicationFailure.fromError(error)],
])('that a key is missing stays readable for who does not have it, %s', (_, wrapped) => {
  expect(failureOf(wrapped(new UnknownPayloadKey({ id: 'k2', check: '0'.repeat(16) }, ['k1'])))).toMatchObject({
    message: expect.stringContaining('"k2"'),
  });
});
