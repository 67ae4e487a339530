import { configuredApiKeys, configuredPayloadKeys, configuredTaskQueue } from '../../config/file.ts';
import type { Finding, Health, HealthState } from './findings.ts';
import { factsInWords, HEALTH_STATES, healthOf, keyEnds } from './findings.ts';
import { counted, printable, printableReason } from '../../domain/text.ts';
import { command } from '../../cli/command.ts';
import { NotHealthy } from '../../cli/exit-code.ts';
import type { Style, Terminal } from '../../cli/terminal.ts';
import { field } from '../../cli/text.ts';

export const doctorCommand = command({
  name: 'doctor',
  description: 'say what is wrong with the installation, and what to do about it',
  json: ': one object',
  notes: `It asks Temporal and the workers of its task queue, for at most some ten seconds.
Exit code 0: all is well, or nothing is worse than a warning. 1: something failed.`,
  examples: ['triggers doctor', 'TRIGGERS_TASK_QUEUE=news triggers doctor --json'],
  async run(_args, _options, { terminal, print }) {
    const taskQueue = configuredTaskQueue();
    const payloadKeys = configuredPayloadKeys();
    const { loadConnectConfig } = await import('../../client/calls/connect.ts');
    const { connectAndFindHealth } = await import('./health.ts');
    const expiring = keyEnds(Object.entries(configuredApiKeys()).map(([name, { expires }]) => ({ name, expires })));
    const options = { taskQueue, connection: loadConnectConfig(), expiring };
    const health = healthOf(await connectAndFindHealth(payloadKeys, options));
    print(health, () => healthLines(health, terminal));
    if (health.state === 'failed') throw new NotHealthy();
  },
});

const STYLES: Readonly<Record<HealthState, Style>> = { failed: 'red', warning: 'yellow', unknown: 'yellow', ok: 'dim' };

/** The findings for people, each with its remedy on the next line. Exported for its test. */
export function healthLines({ state, findings }: Health, { columns, paint }: Pick<Terminal, 'columns' | 'paint'>) {
  const counts = HEALTH_STATES.map((one) => [findings.filter(({ state }) => state === one).length, one] as const);
  const named = (count: number, one: HealthState) => (one === 'warning' ? counted(count, one) : `${count} ${one}`);
  const title = counts.flatMap(([count, one]) => (count === 0 ? [] : [named(count, one)])).join(', ');
  return [
    state === 'ok' ? paint('green', 'All is well.') : paint('bold', title),
    ...grouped(findings).flatMap((one) => [
      ...field(one.state, paint(STYLES[one.state], findingText(one)), columns),
      ...(one.remedy === undefined ? [] : field('', printable(one.remedy), columns)),
    ]),
  ];
}

/** Checks that could not be made for one and the same reason share a line. */
function grouped(findings: readonly Finding[]): ShownFinding[] {
  const shown = new Map<unknown, ShownFinding>();
  for (const one of findings) {
    const key = one.state === 'unknown' && one.job === undefined ? one.problem : one;
    const same = shown.get(key);
    shown.set(key, same === undefined ? one : { ...same, check: `${same.check}, ${one.check}` });
  }
  return [...shown.values()];
}

type ShownFinding = Omit<Finding, 'check'> & { readonly check: string };

function findingText({ check, job, worker, taskQueue, problem = '', facts }: ShownFinding): string {
  const about = job ?? worker ?? taskQueue;
  const text = [printableReason(problem), printable(factsInWords(facts, problem))]
    .filter((part) => part !== '')
    .join(' ');
  return `${check}${about === undefined ? '' : ` (${printable(about)})`}${text === '' ? '' : `: ${text}`}`;
}
