import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPostgres, Postgres } from '../demo/postgres-server.ts';
import { deliveryLogSchema } from '../src/features/delivery-log/config.ts';
import type { LogPlace } from '../src/features/delivery-log/open-log.ts';

/** Makes an empty delivery log on this machine. @param kind `postgres` or `file` */
export async function openLog(kind: string): Promise<{ readonly place: LogPlace; readonly stop: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'audience-triggers-log-'));
  const server = kind === 'file' ? undefined : await Postgres.start(await findPostgres(folder), folder);
  const place = deliveryLogSchema.parse(server === undefined ? { folder } : { url: server.urlOf('postgres') });
  if (place === undefined) throw new TypeError('There is a log.');
  return {
    place,
    stop: async () => {
      await server?.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
