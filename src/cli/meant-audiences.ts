import { AudienceMoved, InvalidTrigger, TriggersError, WorkerFailed } from '../client/errors.ts';
import type { EventTrigger, Slugs } from '../client/export-jobs.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import { AUDIENCE_ID } from '../domain/names.ts';
import { UnknownPayloadKey } from '../temporal/encrypting-codec.ts';

export interface Meaning {
  /** Asked once, when the first slug comes. */
  readonly slugs: () => Promise<Slugs>;
  /** The same triggers once more, where they can be read twice: then nothing is sent when a later one is refused. */
  readonly again: (() => AsyncIterable<EventTrigger>) | undefined;
  /** Called once when it is not known which audiences have the slugs now; what is sent means what the jobs take it for. */
  readonly onUnchecked: (slug: string, why: Error) => void;
  /** Called in place of each trigger about an audience that no job listens to, as far as it is known, with the slug that was most likely meant. */
  readonly onUnmatched?: ((audience: string, near: string | undefined) => void) | undefined;
}

/**
 * Triggers as they were typed, each about the audience that has its slug now.
 * @throws AudienceMoved at one whose slug a job takes for another audience
 */
export async function* withMeantAudiences(
  triggers: Iterable<EventTrigger> | AsyncIterable<EventTrigger>,
  { slugs: open, again, onUnchecked, onUnmatched }: Meaning,
): AsyncGenerator<EventTrigger> {
  let slugs: Slugs | undefined;
  let isAsked = false;
  let isTold = false;
  for await (const trigger of triggers) {
    let { audience } = trigger;
    if (onUnmatched !== undefined) slugs ??= await open();
    if (!AUDIENCE_ID.test(audience)) {
      const isFirst = !isAsked;
      isAsked = true;
      slugs ??= await open();
      try {
        audience = await slugs.meant(audience);
        if (isFirst && slugs.hasMoved && again !== undefined) await refuseLater(again(), slugs);
      } catch (error) {
        if (!isUnknown(error)) throw error;
        if (!isTold) onUnchecked(audience, error);
        isTold = true;
      }
    }
    if (onUnmatched !== undefined && slugs?.mayListen(audience) === false)
      onUnmatched(trigger.audience, nearestKey(trigger.audience, slugs.known));
    else yield audience === trigger.audience ? trigger : { ...trigger, audience };
  }
}

/** @throws AudienceMoved */
async function refuseLater(triggers: AsyncIterable<EventTrigger>, slugs: Slugs): Promise<void> {
  try {
    for await (const { audience } of triggers) await slugs.meant(audience);
  } catch (error) {
    // Nothing behind it is sent, and it is reported when it is reached.
    if (!(error instanceof InvalidTrigger)) throw error;
  }
}

/** Whether it only is not known what a slug means. */
function isUnknown(error: unknown): error is Error {
  // A worker without the key would reject what is pushed.
  if (error instanceof AudienceMoved || (error instanceof WorkerFailed && error.hasOtherKeys)) return false;
  return error instanceof UnknownPayloadKey || error instanceof TriggersError;
}
