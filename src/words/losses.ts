import { counted, shownTime } from '../domain/text.ts';

/** A job that was ended from outside: terminated, failed or timed out. */
export interface EndedJob {
  readonly jobId: string;
  /** How it ended. */
  readonly state: string;
  /** Absent: not asked. */
  readonly left?: LeftOver;
}

/** The rest of a job that was ended from outside, as far as that is known soon. */
export interface LeftOver {
  /** RFC 3339: until when it can be recovered. Absent: unknown, or never. */
  readonly until?: string;
  /** About how many triggers it had not delivered: what came after its last task is not in it. Absent: unknown. */
  readonly waiting?: number;
  /** A backfill was under way. */
  readonly backfill?: true;
}

/** Says how a job was ended, how much it had not delivered, and until when it can be recovered. */
export function endedInWords({ state, left: { until, waiting, backfill } = {} }: EndedJob): string {
  const triggers =
    waiting === undefined ? 'Its triggers are' : `About ${counted(waiting, 'trigger is', 'triggers are')}`;
  const more = backfill === true ? ', and its backfill is not over' : '';
  const end = until === undefined ? '.' : `. It can be recovered until ${shownTime(until)}.`;
  return `It was ended from outside (${state}), and accepts no triggers. ${triggers} not delivered${more}${end}`;
}

/** Dead letters of a job that expire soon. */
export interface ExpiringLetters {
  /** Absent: it cannot be read here. */
  readonly job?: string;
  readonly letters: number;
  /** RFC 3339: when the first of them expires. */
  readonly firstAt: string;
}

/** Says how many expire, and when. */
export function expiringInWords({ letters, firstAt }: ExpiringLetters): string {
  return `${counted(letters, 'dead letter expires', 'dead letters expire')} soon, from ${shownTime(firstAt)} on. Then nobody can send or read them any more.`;
}
