import { appendFileSync, chmodSync, chownSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { owner, type Postgres, type PostgresWithBackup } from '../demo/postgres-server.ts';
import { runProgram } from '../src/features/local/run-program.ts';

const BACKUP_MS = 120_000;
const ARCHIVED_WITHIN_MS = 60_000;
const LOOK_MS = 100;
/** How much, in s, is lost at most when the disk is lost as well. */
const ARCHIVE_TIMEOUT_S = 2;

/** What a PostgreSQL can be brought back from, to any moment since its base backup: that, and the log of all that was written since. */
export class BaseBackup {
  readonly #archive: string;
  readonly #base: string;

  /** Makes its folders below `folder`. */
  constructor(folder: string) {
    this.#archive = ownFolder(join(folder, 'archive'));
    this.#base = ownFolder(join(folder, 'base'));
  }

  /** What PostgreSQL is to run with. A segment has its name in the archive only once it is whole. */
  get settings(): Readonly<Record<string, string>> {
    const part = `${this.#archive}/%f.part`;
    const done = `${this.#archive}/%f`;
    return {
      archive_mode: 'on',
      archive_command: `test ! -f ${done} && cp %p ${part} && mv ${part} ${done}`,
      archive_timeout: String(ARCHIVE_TIMEOUT_S),
    };
  }

  /** Takes it while everything runs. */
  async take({ pgBasebackup }: PostgresWithBackup, { host, port, user }: Postgres): Promise<void> {
    const from = ['--host', host, '--port', String(port), '--username', user];
    await runProgram(pgBasebackup, ['--pgdata', this.#base, '--checkpoint', 'fast', ...from], {
      timeoutMs: BACKUP_MS,
      ...owner(),
    });
  }

  /** Resolves once the archive has all that was written until now, and a little more. */
  async untilArchived(postgres: Postgres): Promise<void> {
    const client = new Client({ connectionString: postgres.urlOf('postgres') });
    await client.connect();
    try {
      const { rows } = await client.query<{ file: string }>('SELECT pg_walfile_name(pg_current_wal_lsn()) AS file');
      const wanted = rows[0]?.file ?? '';
      const deadline = performance.now() + ARCHIVED_WITHIN_MS;
      const last = async () => {
        const found = await client.query<{ file: string | null }>(
          'SELECT last_archived_wal AS file FROM pg_stat_archiver',
        );
        return found.rows[0]?.file ?? '';
      };
      while ((await last()) < wanted) {
        if (performance.now() > deadline) throw new Error(`The archive does not get ${wanted}.`);
        await sleep(LOOK_MS);
      }
    } finally {
      await client.end();
    }
  }

  /** Puts the base backup in the place of the data of a PostgreSQL that is not running, which goes on to that moment, and from there, when it is started. */
  putBack({ dataFolder }: Postgres, moment: Date): void {
    renameSync(dataFolder, `${dataFolder}.lost`);
    renameSync(this.#base, dataFolder);
    // Time zones that have a name, as Z has, are not known to it yet.
    const target = moment.toISOString().replace('Z', '+00');
    const lines = [
      `restore_command = 'cp ${this.#archive}/%f %p'`,
      `recovery_target_time = '${target}'`,
      `recovery_target_action = 'promote'`,
    ];
    appendFileSync(join(dataFolder, 'postgresql.auto.conf'), `${lines.join('\n')}\n`);
    writeFileSync(join(dataFolder, 'recovery.signal'), '');
  }
}

function ownFolder(path: string): string {
  mkdirSync(path);
  chmodSync(path, 0o700);
  const { uid, gid } = owner();
  if (uid !== undefined) chownSync(path, uid, gid);
  return path;
}
