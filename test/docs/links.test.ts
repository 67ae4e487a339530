import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from '@jest/globals';
import { PAGES, proseOf, root } from './pages.ts';

/** Every Markdown file of the repository. */
const files = readdirSync(root, { withFileTypes: true })
  .filter(({ name }) => !/^(\.git|node_modules|lib)$/.test(name))
  .flatMap((entry) =>
    entry.isDirectory()
      ? readdirSync(join(root, entry.name), { recursive: true, encoding: 'utf8' }).map((path) => join(entry.name, path))
      : [entry.name],
  )
  .filter((path) => path.endsWith('.md'));

/** Where the links and pictures of a file lead that stay in the repository. */
function linksOf(file: string): string[] {
  const inline = [...proseOf(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  return inline.filter((link) => !/^[a-z]+:/.test(link));
}

/** The anchors of a page as GitHub makes them of its headings. */
function anchorsOf(file: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of proseOf(file).matchAll(/^#{1,6} +(.*)$/gm)) {
    const words = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .trim()
      .toLowerCase();
    const anchor = words.replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '').replaceAll(' ', '-');
    let name = anchor;
    for (let n = 1; anchors.has(name); n++) name = `${anchor}-${n}`;
    anchors.add(name);
  }
  return anchors;
}

/** Whether a link of a file leads somewhere: to what is there, and if it names a place in a page, to that. */
function leadsSomewhere(file: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? file : normalize(join(dirname(file), path));
  if (!existsSync(join(root, target))) return false;
  return anchor === undefined || !target.endsWith('.md') || anchorsOf(target).has(anchor);
}

test.each(files)('every link of %s leads somewhere', (file) => {
  expect(linksOf(file).filter((link) => !leadsSomewhere(file, link))).toEqual([]);
});

test('docs/README.md leads to every page of docs', () => {
  const led = new Set(linksOf('docs/README.md').map((link) => join('docs', link)));
  expect(PAGES.filter((page) => page !== 'docs/README.md' && page !== 'README.md' && !led.has(page))).toEqual([]);
});

test.each(readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.svg')))(
  'the picture %s runs nothing and loads nothing from elsewhere',
  (name) => {
    const text = readFileSync(join(root, 'docs', name), 'utf8').replace('http://www.w3.org/2000/svg', '');
    expect(
      text.match(/<(?:script|foreignObject|image|use)\b|\son\w+=|\bhref=|@import|@font-face|https?:|url\((?!#)/g),
    ).toBeNull();
  },
);
