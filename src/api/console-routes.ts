import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { codeOf } from '../domain/errors.ts';

/** The build's folder, as seen from src/ and from lib/. */
const BUILT = fileURLToPath(new URL('../../lib/console/', import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
};

/** Headers that protect the page. Its browser runs only our own files and connects only to us. No other page can embed it or reach into it. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
} as const;

/** The name of an asset has the hash of its content. */
const FOREVER = 'public, max-age=31536000, immutable';

/** Paths that are no page of the console, and answer themselves when nothing is there. */
const NO_PAGES = /^\/(?:v1|docs|assets|openapi\.json|healthz|readyz|metrics)(?:\/|$)/;

const NOT_BUILT =
  'The console has not been built. In a clone of the repository, run: npm run build\nThe API is here all the same, to read and try at /docs.\n';

interface Content {
  readonly type: string;
  readonly etag: string;
  /** By content coding. */
  readonly bytes: Readonly<Record<'identity' | 'br' | 'gzip', Buffer>>;
}

interface Built {
  readonly index: Content;
  /** By name. */
  readonly assets: ReadonlyMap<string, Content>;
}

/** The built files of the console, in memory. */
export class ConsoleFiles {
  readonly #built: Built | undefined;

  private constructor(built: Built | undefined) {
    this.#built = built;
  }

  /** @param folder where it was built; default: in lib/. */
  static async load(folder = BUILT): Promise<ConsoleFiles> {
    return new ConsoleFiles(await builtIn(folder));
  }

  /** Whether an otherwise unserved request is for the page, which decides by its path which view it shows. */
  isFor({ method, url, headers }: FastifyRequest): boolean {
    const isAsked = (method === 'GET' || method === 'HEAD') && /\btext\/html\b/.test(headers.accept ?? '');
    return this.#built !== undefined && isAsked && !NO_PAGES.test(url.split('?')[0] ?? '');
  }

  async answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    if (this.#built !== undefined) return await answered(request, reply, this.#built.index, 'no-store');
    return await reply.status(404).headers(HEADERS).type('text/plain; charset=utf-8').send(NOT_BUILT);
  }

  async answerAsset(name: string, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const asset = this.#built?.assets.get(name);
    if (asset !== undefined) return await answered(request, reply, asset, FOREVER);
    reply.callNotFound();
    return reply;
  }
}

/** Serves the console: its page at `/`, and its files. */
export function consoleRoutes(app: FastifyInstance, files: ConsoleFiles): void {
  const schema = { hide: true };
  app.get('/', { schema }, async (request, reply) => await files.answer(request, reply));
  app.get<{ Params: { name: string } }>('/assets/:name', { schema }, async (request, reply) =>
    files.answerAsset(request.params.name, request, reply),
  );
}

async function answered(
  { headers }: FastifyRequest,
  reply: FastifyReply,
  { type, etag, bytes }: Content,
  cacheControl: string,
): Promise<FastifyReply> {
  reply.headers({ ...HEADERS, 'cache-control': cacheControl, vary: 'accept-encoding', etag });
  if (headers['if-none-match'] === etag) return await reply.status(304).send();
  const coding = (['br', 'gzip'] as const).find((one) => accepts(headers['accept-encoding'], one)) ?? 'identity';
  if (coding !== 'identity') reply.header('content-encoding', coding);
  return await reply.type(type).send(bytes[coding]);
}

/** A caller who prefers another coding gets the file as it is. */
function accepts(header: string | string[] | undefined, coding: string): boolean {
  const codings = [header].flat().join(',').toLowerCase().split(',');
  return codings.some((one) => one.trim() === coding || one.trim().startsWith(`${coding};q=1`));
}

/** Undefined when it was not built. */
async function builtIn(folder: string): Promise<Built | undefined> {
  try {
    const index = await contentOf(join(folder, 'index.html'));
    const names = (await readdir(join(folder, 'assets'))).filter((name) => extname(name) in TYPES);
    const assets = names.map(async (name) => [name, await contentOf(join(folder, 'assets', name))] as const);
    return { index, assets: new Map(await Promise.all(assets)) };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function contentOf(path: string): Promise<Content> {
  const identity = await readFile(path);
  const [br, gzipped] = await Promise.all([promisify(brotliCompress)(identity), promisify(gzip)(identity)]);
  return {
    type: TYPES[extname(path)] ?? '',
    etag: `"${createHash('sha256').update(identity).digest('base64url')}"`,
    bytes: { identity, br, gzip: gzipped },
  };
}
