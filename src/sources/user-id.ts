/** Most characters of a person's id; the same as in a trigger. */
const MAX_USER_LENGTH = 255;

/** Why this cannot be a person's id, or undefined when it can. */
export function userProblem(user: unknown): string | undefined {
  if (typeof user === 'number' || typeof user === 'bigint')
    return 'the id must be a JSON string, in quotes: a number loses digits';
  if (typeof user !== 'string') return 'there is no person\'s id under "user"';
  if (user.length < 1 || user.length > MAX_USER_LENGTH) return `the id must have 1 to ${MAX_USER_LENGTH} characters`;
  return user.isWellFormed() ? undefined : 'the id is not valid Unicode';
}
