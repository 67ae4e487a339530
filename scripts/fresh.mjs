// node scripts/fresh.mjs demo|test|all|quick|bench|many-jobs|chaos|upgrade|soak [arguments]: makes the checkout ready (dependencies, build), then runs what was asked.
// Plain Node, no dependency: this is the first thing that runs on a fresh clone.
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isNewEnough, OLDEST } from './node-lines.mjs';
import { run } from './run-child.mjs';
import { root, sourceStamp, stampFile } from './source-stamp.mjs';

const JEST = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
const PROGRAMS = {
  demo: ['--import', 'tsx', 'demo/main.ts'],
  test: [...JEST, '--selectProjects', 'quick', 'core'],
  all: [...JEST, '--selectProjects', 'slow', 'properties'],
  quick: [...JEST, '--selectProjects', 'quick'],
  bench: ['--import', 'tsx', 'bench/main.ts'],
  'many-jobs': ['--import', 'tsx', 'bench/many-jobs.ts'],
  chaos: ['--import', 'tsx', 'chaos/main.ts'],
  upgrade: ['--import', 'tsx', 'chaos/main.ts', '--from', '0.1.0', '--kill-every-s', '10'],
  soak: ['--import', 'tsx', 'chaos/soak.ts'],
};
/** The packed package, which a test installs, the demo, the bench's workers, and the APIs of chaos are made from lib. */
const NEEDS_BUILD = new Set(['demo', 'test', 'all', 'bench', 'many-jobs', 'chaos', 'upgrade']);

const [what, ...args] = process.argv.slice(2);
if (!Object.hasOwn(PROGRAMS, what ?? '')) {
  console.error('Usage: node scripts/fresh.mjs demo|test|all|quick|bench|many-jobs|chaos|upgrade|soak [arguments]');
  process.exit(2);
}
if (!isNewEnough(process.versions.node)) {
  console.error(`Node ${OLDEST} or newer is needed; this is ${process.versions.node}.`);
  process.exit(2);
}

if (!dependenciesAreFresh()) {
  // npm ci would empty the folder that a link leads to, which may be another checkout's.
  if (lstatSync(join(root, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    console.error('node_modules is a link, and holds other dependencies than package-lock.json asks for.');
    console.error('Remove the link, or run npm ci where it leads to.');
    process.exit(1);
  }
  say('Installing dependencies (npm ci)');
  await must('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { shell: process.platform === 'win32' });
}
if (NEEDS_BUILD.has(what)) {
  if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== sourceStamp()) {
    say('Building lib');
    await must(process.execPath, ['scripts/build.mjs']);
  }
}
if (what === 'all') process.env.PROPERTY_TIMES ??= '10';
// Named files run whichever command has them. Beside --selectProjects, jest takes them for projects.
const namesFiles = ['test', 'all', 'quick'].includes(what) && args.some((arg) => !arg.startsWith('-'));
process.exit(await run(process.execPath, [...(namesFiles ? JEST : PROGRAMS[what]), ...args]));

/** npm writes node_modules/.package-lock.json at the end of every install: it must hold what package-lock.json asks for. */
function dependenciesAreFresh() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const have = JSON.parse(readFileSync(installed, 'utf8')).packages;
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    // Optional packages are those of other platforms, too; '' is this package itself.
    if (path === '' || (optional === true && have[path] === undefined)) return true;
    return have[path]?.version === version;
  });
}

async function must(program, parameters, options) {
  const code = await run(program, parameters, options);
  if (code !== 0) {
    console.error(`${program} ${parameters.join(' ')} failed (exit code ${code}).`);
    process.exit(code);
  }
}

function say(text) {
  console.error(`▸ ${text}`);
}
