import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { Lab } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';

const page = readFileSync(new URL('../../docs/upstreams.md', import.meta.url), 'utf8');

test('the command of docs/upstreams.md signals a job, as it stands there, and once more changes nothing', async () => {
  const lab = await Lab.open();
  try {
    const job = await lab.start();
    const [, command = ''] = /^```sh\n(curl .*?)^```$/ms.exec(page) ?? [];
    const line = command.replace('http://127.0.0.1:7243', temporal.httpUrl).replace('vips-to-the-crm', job);
    expect(line).toContain(`${temporal.httpUrl}/api/v1/namespaces/default/workflows/export-job-${job}/signal/triggers`);
    lab.source.setProfile('7076027172059065053', {});
    for (let times = 0; times < 2; times++) await promisify(execFile)('sh', ['-c', line]);
    await lab.arrives('7076027172059065053');
    const { received, rejected, repeated } = await lab.jobs.status(job);
    // The server itself drops a request id that it knows.
    expect({ received, rejected, repeated }).toEqual({ received: 1, rejected: 0, repeated: 0 });
  } finally {
    await lab.close();
  }
});
