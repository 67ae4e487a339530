import { expect, test } from '@jest/globals';
import { editedLines } from '../../src/cli/commands/edit.ts';

test('two URLs that look alike are not shown as if nothing had changed', () => {
  const shown = 'https://hooks.example.com/…';
  const changes = [{ field: 'webhookUrl', from: shown, to: shown } as const];
  expect(editedLines('vip', { changes, warnings: [] })).toEqual([
    'Changed vip:',
    `  webhookUrl  "${shown}" → "${shown}" (what is not shown may have changed)`,
  ]);
});
