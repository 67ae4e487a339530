import type { ChainStanding, PersonStanding } from '../contract/person-standing.ts';
import { hasStopped } from '../domain/job-state.ts';
import { counted } from '../domain/text.ts';
import { failureInWords } from '../domain/verdict.ts';

/** A time as people read it on a display, as after "it ends": `at 14:03:26 (in 4 s)`, or `in 4 s`. */
type Time = (at: string) => string;

/**
 * Why a person's triggers wait, in sentences; empty when none waits.
 * @param lastFailure how the last attempt for this person failed, in words, where the display has just shown it.
 */
export function waitText(standing: PersonStanding, time: Time, lastFailure?: string): string {
  const { waitingCount, inPages, pendingDeadLetters, endsAt } = standing;
  const isWaiting = waitingCount > 0 || inPages;
  const own = waitingCount > 0 ? chainText(standing, time, lastFailure) : spacedText(standing, time);
  const texts = [
    waitingCount === 0 && inPages && 'Found by a backfill; what it sends waits for its turn.',
    isWaiting && (blockedText(standing, time) ?? own),
    isWaiting && endsAt && `The job ends by itself ${time(endsAt)}, and keeps what it cannot send then.`,
    pendingDeadLetters > 0 &&
      `${counted(pendingDeadLetters, 'trigger is becoming a dead letter', 'triggers are becoming dead letters')}.`,
  ];
  return texts.filter(Boolean).join(' ');
}

/** Why the whole job cannot send, if so. */
function blockedText(standing: PersonStanding, time: Time): string | undefined {
  const { state, reason, waits, endpoint, chain, lastFailure } = standing;
  if (hasStopped(state) || state === 'paused' || (state === 'stopping' && chain?.place !== 'running'))
    return reason ?? `The job is ${state}.`;
  if (chain?.place === 'running') return undefined;
  const { quiet, quota, endpoint: asked, rate: _, batch: __, ...others } = waits;
  if (quiet !== undefined) return `These are quiet hours; they end ${time(quiet)}.`;
  if (quota !== undefined) return `The job's quota is used; first attempts are made again ${time(quota)}.`;
  if (asked !== undefined) return `The endpoint asked to wait; the next request goes ${time(asked)}.`;
  for (const [field, until] of Object.entries(others))
    return `The job waits (its "${field}"); it goes on ${time(until)}.`;
  if (endpoint?.state !== 'unhealthy') return undefined;
  const last = lastFailure === undefined ? '' : ` (${failureInWords(lastFailure)})`;
  const next = endpoint.nextProbeAt === undefined ? '' : `, the next one ${time(endpoint.nextProbeAt)}`;
  return `The endpoint is unhealthy${last}; only single probes are sent${next}. ${endpoint.advice ?? ''}`.trimEnd();
}

/** The parts of the job's rate and batches for which they wait. */
function spacedText({ waits: { rate, batch } }: PersonStanding, time: Time): string {
  const texts = [
    rate && `The job's rate lets the next request go ${time(rate)}.`,
    batch && `Their batch goes when it is full, or ${time(batch)}.`,
  ];
  return texts.filter(Boolean).join(' ');
}

function chainText(standing: PersonStanding, time: Time, lastFailure: string | undefined): string {
  const { chain, waiting } = standing;
  if (chain === undefined) {
    const holder = waiting[0]?.holder;
    return `They wait in the overflow${holder === undefined ? '' : `, in holder ${holder}`}, behind what came before.`;
  }
  const { place, ahead = 0, nextAttemptAt } = chain;
  if (place === 'running') return 'The first is being sent now.';
  if (place === 'ready') {
    const turn = ahead === 0 ? 'They are next.' : `${counted(ahead, 'person is', 'people are')} ahead of them.`;
    return `${turn} ${spacedText(standing, time)}`.trimEnd();
  }
  const next = nextAttemptAt === undefined ? 'soon' : time(nextAttemptAt);
  return `The next attempt is due ${next}${sinceText(chain, lastFailure)}.`;
}

function sinceText({ failures, profileTries, losses = 0 }: ChainStanding, lastFailure: string | undefined): string {
  if (losses > 1) return `, since ${losses} workers in a row were lost with it. Its message may be what ends them`;
  if (lastFailure !== undefined) return `, since the last one failed: ${lastFailure}`;
  if (failures > 0) return `, after ${counted(failures, 'failed attempt')}`;
  return profileTries > 0 ? ', since the audience source does not know the person (yet)' : '';
}
