import { z } from 'zod';

export const MISSING_URL = 'Give the webhook URL that receives the messages, such as https://example.com/hook.';

const NO_WEB_ADDRESS = 'The webhook URL is not a web address. It should look like https://example.com/hook.';
// URL parsers also find a host where this shape is not kept (`https:///me:secret@host`), and with it a password that was not checked for.
const WEB_ADDRESS = /^https?:\/\/[^/?#\\]/i;

const NO_HOST =
  'The webhook URL has a host name that cannot exist: its parts, between dots, have 1 to 63 characters each, and all of it at most 253.';
// A name that DNS can hold (RFC 1035, section 2.3.4), with or without the root's dot; or an IPv6 address in brackets.
const HOST = /^(?:\[.*\]|(?=.{1,253}\.?$)[^.]{1,63}(?:\.[^.]{1,63})*\.?)$/;

const TEMPLATED_HOST = 'The host of a webhook URL cannot be a template; only its path and query can be.';
const HAS_TEMPLATED_HOST = /^[^/]*\/\/[^/?#]*\{[{%]/;

/** Characters that a URL loses when it is parsed, or that parsing changes. */
export const MANGLED = /[\s\p{Cc}\\]/u;
/** The message about a URL with such a character, after a name for the URL. */
export const IS_MANGLED =
  'has a blank, a line break, another control character or a backslash in it, which would not be sent as it is. Write %20 for a blank, and %5C for a backslash.';
const DOTS =
  'The webhook URL has a segment "." or ".." in its path, which would not be sent as it is. Write the path that is meant.';
const HAS_DOTS = /^[^/]*\/\/[^?#]*?\/(?:\.|%2e){1,2}(?:[/?#]|$)/i;

/** A rendered URL is checked after rendering. */
function isTemplate(url: string): boolean {
  return /\{[{%]/.test(url);
}

// Whether the worker may send there is checked by the worker (in prepareJob, and again at every request); this is the form's part. No
// message repeats a URL, because anybody who knows it may be able to send to it.
export const webhookUrl = z
  .string({ error: 'The webhook URL must be text.' })
  .trim()
  .min(1, MISSING_URL)
  .max(2048, 'The webhook URL must have at most 2048 characters.')
  .refine((url) => !HAS_TEMPLATED_HOST.test(url), { error: TEMPLATED_HOST, abort: true })
  // Before it is parsed, since parsing removes some of these.
  .refine((url) => !WEB_ADDRESS.test(url) || isTemplate(url) || !MANGLED.test(url), {
    error: `The webhook URL ${IS_MANGLED}`,
    abort: true,
  })
  .pipe(z.url({ protocol: /^https?$/, error: NO_WEB_ADDRESS, abort: true }).regex(WEB_ADDRESS, NO_WEB_ADDRESS))
  .pipe(z.url({ hostname: HOST, error: NO_HOST }))
  .refine((url) => !/^[^/]*\/\/[^/?#]*@/.test(url), {
    error:
      'The webhook URL must not contain a user name or password. Put them into an authorization in the worker\'s configuration, and name that in "authorization".',
    abort: true,
  })
  .refine((url) => !url.includes('#'), {
    error:
      'The webhook URL must not contain a #: what follows it is never sent to a server. Leave it out, or write %23 if it belongs to a value.',
  })
  .refine((url) => !HAS_DOTS.test(url), DOTS);
