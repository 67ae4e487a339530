import { appendFile, readdir, rm, writeFile } from 'node:fs/promises';
import type { Activities } from '../../contract/ports.ts';
import { concurrently } from '../concurrently.ts';
import { alive } from './alive.ts';
import { readLines } from './lines.ts';
import { MemberBuckets } from './member-buckets.ts';
import type { WatchDependencies } from './scan-members.ts';
import { audienceFolder, CHANGES, ENTERS, EXITS, Snapshot, STAYED } from './snapshot.ts';

/** How many point look-ups the source gets at once. */
const LOOK_UPS = 16;
/** People per step; a step is written down as a whole. */
const STEP = 1_000;

/**
 * The activity that asks the source about each person whom a scan did not see. A page may miss somebody while members come and go, so only
 * those whom the source itself calls no members have left. Writes down the changes to signal, and adds everybody else to the snapshot.
 */
export function createConfirmExits({ source, watchFolder }: WatchDependencies): Activities['confirmExits'] {
  return async (audience, scanId) => {
    const scan = new Snapshot(audienceFolder(watchFolder, audience), scanId);
    const manifest = await scan.sealed();
    const [exits, enters] = [await scan.whole(manifest, EXITS), await scan.whole(manifest, ENTERS)];
    // An earlier attempt may have done half of this.
    for (const name of await readdir(scan.folder)) if (name.startsWith(STAYED)) await rm(scan.path(name));
    await writeFile(scan.path(CHANGES), '');
    const sum = { enters: 0, exits: 0, stayed: 0 };
    const stayed = new MemberBuckets(scan.folder, STAYED);

    for await (const users of steps(exits)) {
      const isMember = new Set<string>();
      await concurrently(users, LOOK_UPS, async (user) => {
        if (await source.isMember(audience, user)) isMember.add(user);
        // A look-up may take the source long.
        alive();
      });
      const left = users.filter((user) => !isMember.has(user));
      await stayed.add(isMember);
      await appendFile(scan.path(CHANGES), lines('exit', left));
      sum.exits += left.length;
      sum.stayed += isMember.size;
      alive();
    }
    for await (const users of steps(enters)) {
      await appendFile(scan.path(CHANGES), lines('enter', users));
      sum.enters += users.length;
      alive();
    }
    const files = { ...manifest.files, [CHANGES]: await scan.size(CHANGES) };
    await scan.seal({ members: manifest.members, stayed: await stayed.close(), files });
    return sum;
  };
}

async function* steps(path: string): AsyncGenerator<string[]> {
  let users: string[] = [];
  for await (const line of readLines(path)) {
    users.push(JSON.parse(line) as string); // Written by the scan.
    if (users.length < STEP) continue;
    yield users;
    users = [];
  }
  if (users.length > 0) yield users;
}

function lines(event: 'enter' | 'exit', users: readonly string[]): string {
  return users.map((user) => `${JSON.stringify([event, user])}\n`).join('');
}
