import type { Attempt } from './attempt.ts';
import type { RequestAuthorization } from './authorizations.ts';
import type { Poster } from './poster.ts';
import type { WebhookRequest } from './request.ts';

const UNAUTHORIZED = 401;

/** Whether the endpoint rejected our credentials: the only answer after which a request is sent again at once, with another authorization. */
export function isUnauthorized(attempt: Attempt): boolean {
  return !attempt.ok && attempt.status === UNAUTHORIZED;
}

export interface AuthorizedPost {
  readonly url: URL;
  /** For each of the two requests. */
  readonly timeoutMs: number;
  readonly authorization: RequestAuthorization;
  readonly make: (authorization: RequestAuthorization) => WebhookRequest;
}

/** The outcome of a post: that of the request that was sent last. */
export interface Posted {
  readonly attempt: Attempt;
  readonly request: WebhookRequest;
  readonly authorization: RequestAuthorization;
  /** True: it is the second request, since the first was answered 401. */
  readonly isSecond: boolean;
}

/** Sends a request, and after a 401 a second one if there is another authorization to try. */
export async function postAuthorized(poster: Poster, wanted: AuthorizedPost): Promise<Posted> {
  const first = await post(poster, wanted, wanted.authorization);
  const other = isUnauthorized(first.attempt) ? await wanted.authorization.instead() : undefined;
  const last = other === undefined ? first : await post(poster, wanted, other);
  if (last.attempt.ok) last.authorization.taken();
  return { ...last, isSecond: last !== first };
}

async function post(
  poster: Poster,
  { url, timeoutMs, make }: AuthorizedPost,
  authorization: RequestAuthorization,
): Promise<Omit<Posted, 'isSecond'>> {
  const request = make(authorization);
  const attempt = await new Promise<Attempt>((resolve) => poster.post(url, request, timeoutMs, resolve));
  return { attempt, request, authorization };
}
