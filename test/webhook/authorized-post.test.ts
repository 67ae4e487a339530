import { createServer } from 'node:http';
import { expect, test } from '@jest/globals';
import { postAuthorized } from '../../src/webhook/authorized-post.ts';
import type { RequestAuthorization } from '../../src/webhook/authorizations.ts';
import { createPoster } from '../../src/webhook/poster.ts';
import { afterwards, listen } from './a-server.ts';
import { THIS_MACHINE } from './an-attempt.ts';

/** A bearer token that can be replaced, and what was noted about it. */
class Token implements RequestAuthorization {
  readonly query = '';
  readonly signingKeys = [];
  readonly secrets = [];
  readonly headers: string[];
  wasTaken = false;
  readonly #other: Token | undefined;

  constructor(value: string, other?: Token) {
    this.headers = ['authorization', value];
    this.#other = other;
  }

  readonly taken = (): void => {
    this.wasTaken = true;
  };
  readonly instead = async (): Promise<Token | undefined> => this.#other;
}

/** Posts to an endpoint that answers tokens like this, `old` first. */
async function posted(answers: { readonly old: number; readonly new?: number }, hasOther = true) {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const token = request.headers.authorization as 'old' | 'new'; // What the tokens below are called.
    seen.push(token);
    response.writeHead(answers[token] ?? 500).end();
  });
  const url = new URL(`http://127.0.0.1:${await listen(server)}/`);
  const poster = createPoster({ timeoutMs: 3000, policy: THIS_MACHINE });
  afterwards(async () => {
    await poster.close();
    server.close();
  });
  const other = new Token('new');
  const authorization = new Token('old', hasOther ? other : undefined);
  const make = ({ headers }: RequestAuthorization) => ({ headers: [...headers], body: '{}' });
  const { attempt, isSecond } = await postAuthorized(poster, { url, timeoutMs: 3000, authorization, make });
  return { seen, status: attempt.status, isSecond, taken: [authorization.wasTaken, other.wasTaken] };
}

test('after a 401 a request is sent once more with the other authorization, and only an accepted one is noted as accepted', async () => {
  expect(await posted({ old: 401, new: 200 })).toEqual({
    seen: ['old', 'new'],
    status: 200,
    isSecond: true,
    taken: [false, true],
  });
});

test('a second 401 is final', async () => {
  expect(await posted({ old: 401, new: 401 })).toEqual({
    seen: ['old', 'new'],
    status: 401,
    isSecond: true,
    taken: [false, false],
  });
});

test.each([200, 403, 500])('after a %d nothing is sent a second time', async (status) => {
  const isTaken = status === 200;
  expect(await posted({ old: status })).toEqual({ seen: ['old'], status, isSecond: false, taken: [isTaken, false] });
});

test('a 401 is final when there is no other authorization', async () => {
  expect(await posted({ old: 401 }, false)).toEqual({
    seen: ['old'],
    status: 401,
    isSecond: false,
    taken: [false, false],
  });
});
