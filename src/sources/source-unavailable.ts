import { failureInWords } from '../domain/attempt-codes.ts';

/** Codes for answers of a service that cannot be used, in addition to those of `domain/attempt-codes.ts`. */
export const ANSWER_CODES = {
  /** What should be JSON is not, or is in an encoding that was not asked for. */
  notJson: 'ANSWER_NOT_JSON',
  /** It is JSON, but what is wanted is not where the configuration, or the service's documentation, says. */
  unexpected: 'ANSWER_UNEXPECTED',
} as const;

const WORDS: Readonly<Record<string, string>> = {
  [ANSWER_CODES.notJson]: 'the answer is not JSON',
  [ANSWER_CODES.unexpected]: 'the answer is not as expected',
};

const ADVICE: Readonly<Record<number, string>> = {
  401: 'Check what the configuration\'s "source" says about who we are: the service does not accept it.',
  403: 'The account in the configuration\'s "source" may not read this: give it permission.',
  404: 'Check the URL in the configuration\'s "source".',
  429: 'The service asks for fewer requests.',
};

export interface UnavailableOptions {
  /** The origin that was asked, without the path, which may contain a person's id. */
  readonly origin: string;
  /** What was asked for, to follow "it did not give …". */
  readonly what: string;
  readonly status?: number;
  readonly code?: string;
  /** More than the status and the code say, in our words, never the service's. */
  readonly reason?: string;
}

/** A service could not be asked, or did not answer as it should. Match on `status` and `code`; nothing that the service wrote is included. */
export class SourceUnavailable extends Error {
  override readonly name = 'SourceUnavailable';
  readonly status: number | undefined;
  readonly code: string | undefined;

  constructor({ origin, what, status, code, reason }: UnavailableOptions) {
    const said = WORDS[code ?? ''] ?? failureInWords({ ...(status && { status }), ...(code && { code }) });
    const advice = ADVICE[status ?? 0];
    super(`${origin} did not give ${what}: ${reason ?? said}.${advice === undefined ? '' : ` ${advice}`}`);
    this.status = status;
    this.code = code;
  }
}
