import { buffer } from 'node:stream/consumers';
import { nearestKey } from '../../contract/nearest-key.ts';
import { configuredIngests } from './config.ts';
import { configuredPayloadKeys, configuredTaskQueue } from '../../config/file.ts';
import { ConfigError } from '../../config/problems.ts';
import type { Json } from '../../contract/trigger.ts';
import { counted, exactTime, printable } from '../../domain/text.ts';
import { readTrigger } from '../../domain/trigger.ts';
import { type Arrival, type Change, doubledText, parametersIn, type Unreadable } from './arrival.ts';
import { ExpressionThread } from './expressions.ts';
import { type Ingest, ingestOf, mapped, type MappedChange, readArrival, urlProblem } from './ingest.ts';
import { nearMiss, presetNamed, type PresetName } from './presets.ts';
import { isProofNeeded, proofProblem } from './signature.ts';
import { command, commandGroup } from '../../cli/command.ts';
import { NotTaken, UsageError } from '../../cli/exit-code.ts';
import { jsonIn } from '../../cli/job-options.ts';
import { collect } from '../../cli/options.ts';

/** The result of reading a request. */
interface Tried {
  readonly ingest: string;
  readonly triggers: readonly ShownTrigger[];
  /** The audiences of these to which no running job subscribes; absent when Temporal cannot be reached. */
  readonly unmatched?: readonly string[] | undefined;
  readonly refused: readonly { readonly index: number; readonly reason: string }[];
  readonly ignored: number;
  readonly messageId?: string | undefined;
  /** The missing or wrong part of the sender's proof; null: it is complete. Absent: it was not checked, since no header or parameter was given. */
  readonly proof?: string | null;
}

export const ingestCommand = commandGroup({
  name: 'ingest',
  description: 'webhooks that other systems send to the HTTP API',
  parts: [
    command({
      name: 'try',
      description: 'show the triggers that an ingest would make from a body on standard input; nothing is sent',
      takes: (it) =>
        it
          .argument('<name>', 'one of "ingests" in the configuration')
          .option('--header <header>', 'a header of the request, such as "webhook-id: 5"; may be repeated', collect)
          .option('--query <query>', 'the query of its URL, such as "event=enter"'),
      json: ': triggers, and what is refused and why',
      notes: `The exit code is 1 if anything is refused. With a header or a query, it also checks
the proof that the ingest requires of its sender. If Temporal answers within a
second, it also names audiences to which no running job subscribes.`,
      examples: ['triggers ingest try segment < body.json'],
      async run([name], { header = [], query }, { terminal, print }) {
        const ingest = namedIngest(name);
        const parameters = parametersIn(query ?? '');
        if (parameters.doubled !== undefined) throw new UsageError(doubledText(parameters.doubled));
        const shown = { headers: headersIn(header), query: parameters.query };
        const bytes = await buffer(terminal.stdin);
        const body = jsonIn(bytes.toString(), 'Standard input');
        const isShown = header.length > 0 || query !== undefined;
        const proof =
          isShown && isProofNeeded(ingest.proof)
            ? {
                proof:
                  urlProblem(ingest, shown.query) ??
                  proofProblem(ingest.proof, { ...shown, body: bytes }, Date.now()) ??
                  null,
              }
            : {};
        const read = await triedBody(ingest, { ...shown, body });
        const tried = { ...read, unmatched: await unmatchedOf(read.triggers), ...proof };
        print(tried, () => linesOf(tried));
        if (tried.ignored > 0) terminal.err(ignoredText(ingest, body));
        for (const audience of tried.unmatched ?? [])
          terminal.err(
            `No running job subscribes to "${printable(audience)}": its triggers would be dropped as unmatched.`,
          );
        if (tried.refused.length > 0)
          throw new NotTaken(`${counted(tried.refused.length, 'change')} of this body would be refused.`);
        if (typeof proof.proof === 'string') throw new NotTaken(`The API would answer 401. ${proof.proof}`);
      },
    }),
  ],
  examples: ['triggers ingest try segment < body.json'],
});

function namedIngest(name: string): Ingest {
  const ingests = configuredIngests();
  const config = Object.hasOwn(ingests, name) ? ingests[name] : undefined;
  if (config !== undefined) return ingestOf(name, config);
  const names = Object.keys(ingests);
  const near = nearestKey(name, names);
  const there = names.length === 0 ? 'It has none.' : `It has ${names.join(', ')}.`;
  throw new ConfigError(
    `The configuration has no ingest "${printable(name)}". ${near === undefined ? there : `Did you mean "${near}"?`}`,
  );
}

function headersIn(lines: readonly string[]): Record<string, string> {
  const headers = new Headers();
  for (const line of lines) {
    const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined)
      throw new UsageError('A header is written as its name, a colon and its value: --header "webhook-id: 5".');
    headers.append(name, value);
  }
  return Object.fromEntries(headers);
}

async function triedBody(ingest: Ingest, arrival: Arrival): Promise<Tried> {
  const thread = new ExpressionThread();
  try {
    const { changes, ignored, messageId } = await readArrival(ingest, arrival, thread);
    const read = changes.map((change) => outcomeOf(ingest, change));
    return {
      ingest: ingest.name,
      triggers: read.filter((one) => typeof one !== 'string'),
      refused: read.flatMap((reason, index) => (typeof reason === 'string' ? [{ index, reason }] : [])),
      ignored,
      messageId,
    };
  } finally {
    await thread.close();
  }
}

/** A trigger, or why there is none. */
function outcomeOf(ingest: Ingest, change: Change | Unreadable): ShownTrigger | string {
  if ('reason' in change) return change.reason;
  const { audiences, ...rest } = mapped(ingest, change);
  const [audience, ...others] = audiences;
  const reading = readTrigger({ ...rest, audience });
  if (!reading.ok) return reading.reason;
  return { ...rest, audience, ...(others.length === 0 ? {} : { orAudience: others }) };
}

/** Longest wait for Temporal, in ms: the result can be shown without it. */
const CONNECT_MS = 1_000;

/** The audiences to which no running job subscribes; undefined when that cannot be found out. */
async function unmatchedOf(triggers: readonly ShownTrigger[]): Promise<readonly string[] | undefined> {
  if (triggers.length === 0) return undefined;
  const [{ connectClient, loadConnectConfig }, { jobDirectory }] = await Promise.all([
    import('../../client/calls/connect.ts'),
    import('../../client/push/job-directory.ts'),
  ]);
  try {
    const { client, close } = await connectClient(loadConnectConfig(), configuredPayloadKeys(), CONNECT_MS);
    try {
      const directory = jobDirectory(client, configuredTaskQueue());
      const unmatched = new Set<string>();
      for (const { audience, orAudience = [] } of triggers) {
        const found = await Promise.all(
          [audience, ...orAudience].map(async (name) => await directory.subscribers(name)),
        );
        if (found.every((jobs) => jobs.length === 0)) unmatched.add(audience);
      }
      return [...unmatched];
    } finally {
      await close();
    }
  } catch {
    return undefined;
  }
}

/** Why something was ignored, and what would not be. */
function ignoredText({ preset, settings }: Ingest, body: Json): string {
  if (preset === undefined) return 'Ignored: "ignore" is true of it, or "each" finds nothing in it.';
  const { changes } = presetNamed(preset);
  const near = nearMiss(presetNamed(preset), body);
  const hint = near === undefined ? '' : ` It says "${printable(near.value)}": did you mean "${near.near}"?`;
  const named = Object.keys(settings.audiences).length > 0 ? '' : (NO_NAMES[preset] ?? '');
  return `Ignored: this preset reads changes from ${changes?.inWords ?? 'other requests'}.${named}${hint}`;
}

/** Changes that are ignored as long as "audiences" names none. */
const NO_NAMES: Partial<Record<PresetName, string>> = {
  segment: ' In an Identify call without "context.personas", only traits named in "audiences" count.',
  rudderstack: ' In an Identify call without "context.personas", only traits named in "audiences" count.',
};

function linesOf({ triggers, refused, ignored, proof }: Tried): string[] {
  const lines = triggers.map((trigger) => {
    const { event, user, audience, orAudience = [], at = 'now', profile } = trigger;
    const names = [audience, ...orAudience].map(printable).join(' or ');
    const fields = profile === undefined ? '' : `  ${Object.keys(profile).map(printable).join(', ')}`;
    return `${event.padEnd(5)}  ${printable(user)}  ${names}  ${printable(exactTime(at))}${fields}`;
  });
  const reasons = refused.map(({ index, reason }) => `refused, number ${index + 1}: ${printable(reason)}`);
  const rest = ignored === 0 ? [] : [`ignored: ${ignored} (no membership change)`];
  const shownProof = proof === null ? ['The request proves its sender as the ingest requires.'] : [];
  const all = [...lines, ...reasons, ...rest, ...shownProof];
  return all.length === 0 ? ['The request contains no triggers.'] : all;
}

/** A trigger, with the other names that its audience may have. */
interface ShownTrigger extends Omit<MappedChange, 'audiences'> {
  readonly audience: string;
  readonly orAudience?: readonly string[];
}
