/** How long a test waits before it says that something is not as wanted. Nobody waits that long in a run that is green. */
export const PATIENCE_MS = 120_000;

/** What `ask` answers once that is as wanted; asks often at first, then at a gentle pace, and reports the last answer when time is up. */
export async function answerWhen<T>(
  ask: () => T | Promise<T>,
  isAsWanted: (answer: T) => boolean,
  everyMs = 50,
): Promise<T> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 2, everyMs)) {
    const answer = await ask();
    if (isAsWanted(answer)) return answer;
    if (Date.now() > giveUpAt) throw new Error(`Not as wanted after ${PATIENCE_MS} ms: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Resolves once it is so. */
export async function until(isSo: () => boolean | Promise<boolean>, everyMs = 50): Promise<void> {
  await answerWhen(isSo, (so) => so, everyMs);
}
