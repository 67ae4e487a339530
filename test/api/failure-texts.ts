import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const src = join(import.meta.dirname, '../../src');
const ROOMS = ['client', 'contract', 'domain', 'activities', 'workflows', 'sources'];
/** What statuses, the Temporal UI and alerts say is the same for everybody. */
const NO_FAILURES = ['status-rows.ts', 'job/describing.ts', 'job/alerts.ts'];
function textsOf(room: string): string[] {
  const names = readdirSync(join(src, room), { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => name.endsWith('.ts') && !NO_FAILURES.includes(name));
  return files.flatMap((name) =>
    readFileSync(join(src, room, name), 'utf8')
      .split('\n')
      .filter((line) => !/^\s*(\/\/|\/?\*)/.test(line) && /['`]/.test(line))
      .map((line) => `${name}: ${line.trim().replaceAll(/\$\{[^}]*\}/g, 'crm')}`),
  );
}

/** Every line of code with a text that a failure may say, a job's id in place of what is put in. */
export function failureTexts(): string[] {
  return ROOMS.flatMap(textsOf);
}
