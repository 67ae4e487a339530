import { type LookUp, sharedLookUp } from './look-up.ts';
import { literalOf, type NetworkPolicy, NOT_PUBLIC } from './network-policy.ts';

/**
 * Why nothing will be sent to a URL, as far as that can be known in advance; undefined when nothing speaks against it. It only helps whoever
 * types the URL in: the check that protects is made when a connection is opened.
 */
export async function refusalBeforehand(
  policy: NetworkPolicy,
  url: URL,
  lookUp: LookUp = sharedLookUp,
): Promise<string | undefined> {
  const refusal = policy.refusalOf(url);
  if (refusal !== undefined || literalOf(url.hostname) !== undefined) return refusal;
  return await new Promise((resolve) => {
    lookUp(url.hostname, { all: true }, (error, addresses) => {
      const isForbidden = error === null && !addresses.every(({ address }) => policy.allowsAddress(address));
      resolve(isForbidden ? NOT_PUBLIC : undefined);
    });
  });
}
