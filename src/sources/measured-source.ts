import type { AudienceSource } from './source.ts';

/** The calls of a source that are measured. */
export type SourceCall = 'audiences' | 'members' | 'isMember' | 'profiles';

/** Called for each call when it ends. */
export type SourceCalled = (call: SourceCall, isAnswered: boolean, durationMs: number) => void;

/** The same source, which reports to `called` how each call went. */
export function measuredSource(source: AudienceSource, called: SourceCalled): AudienceSource {
  const measured = async <T>(call: SourceCall, answer: Promise<T>): Promise<T> => {
    const startedAt = performance.now();
    let isAnswered = false;
    try {
      const value = await answer;
      isAnswered = true;
      return value;
    } finally {
      called(call, isAnswered, performance.now() - startedAt);
    }
  };
  return {
    get lagMs() {
      return source.lagMs;
    },
    audiences: () => measured('audiences', source.audiences()),
    members: (audienceId, after, limit) => measured('members', source.members(audienceId, after, limit)),
    isMember: (audienceId, user) => measured('isMember', source.isMember(audienceId, user)),
    profiles: (users) => measured('profiles', source.profiles(users)),
    close: () => source.close(),
  };
}
