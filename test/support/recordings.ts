import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { release } from '../../src/config/release.ts';

/** `histories`: histories of workflows, to be replayed; `carried`: what runs handed to the next one, and what workflows were given, to be read. */
export type RecordingKind = 'histories' | 'carried';

/** What a test recorded when a release was made: workflows of that release still run, so later code must know what to do with it. */
export interface Recording {
  /** `0.1.0` */
  readonly release: string;
  readonly name: string;
  readonly text: string;
}

const FIXTURES = fileURLToPath(new URL('../fixtures', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Writes a recording of the present release, when the tests are run to record (`RECORD_HISTORIES=1`). */
export function record(kind: RecordingKind, name: string, text: string): void {
  if (process.env['RECORD_HISTORIES'] === undefined) return;
  const folder = join(FIXTURES, kind, release());
  mkdirSync(folder, { recursive: true });
  // Stack traces contain the path of this checkout, which does not belong in a recording.
  writeFileSync(join(folder, `${name}.json`), text.replaceAll(ROOT, ''));
}

/** All recordings of a kind, of every release. */
export function recordings(kind: RecordingKind, fixtures = FIXTURES): Recording[] {
  const folder = join(fixtures, kind);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .flatMap((release) =>
      readdirSync(join(folder, release))
        .sort()
        .map((name) => ({ release, name, text: readFileSync(join(folder, release, name), 'utf8') })),
    );
}

/**
 * What is wrong with the recordings, in words. Those of a published release are sealed by their checksum, since they are only worth
 * something as long as they are what that release recorded.
 *
 * @param seals checksum of each published release.
 * @param current the release that is being made, which may record again as often as it likes.
 */
export function brokenSeals(
  seals: Readonly<Record<string, string>>,
  current: string,
  fixtures = FIXTURES,
): readonly string[] {
  const found = new Map<string, ReturnType<typeof createHash>>();
  for (const kind of ['histories', 'carried'] as const)
    for (const { release, name, text } of recordings(kind, fixtures)) {
      const hash = found.get(release) ?? createHash('sha256');
      found.set(release, hash.update(`${kind}/${name}\n`).update(text));
    }
  const sums = new Map([...found].map(([release, hash]) => [release, hash.digest('hex')]));
  return [
    ...Object.entries(seals).flatMap(([release, seal]) =>
      sums.get(release) === seal
        ? []
        : [`What ${release} recorded was changed: its checksum is ${sums.get(release) ?? 'that of nothing'}.`],
    ),
    ...[...sums].flatMap(([release, sum]) =>
      release in seals || release === current ? [] : [`${release} is published, and not sealed: ${sum}`],
    ),
  ];
}
