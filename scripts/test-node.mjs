// npm run test:node -- LINE [jest arguments]: runs the tests on that line of Node: the quick suite, or what the arguments select of all tests.
// The line comes from the registry, as the package that `node` installs for this platform, into a folder of its own below the user's cache.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { isNewEnough, OLDEST, TESTED } from './node-lines.mjs';
import { run } from './run-child.mjs';

const [line = '', ...args] = process.argv.slice(2);
if (!/^\d{1,3}$/.test(line) || Number(line) < TESTED[0]) {
  const got = line === '' ? '' : `, not ${JSON.stringify(line)}`;
  const last = TESTED.at(-1);
  end(
    2,
    `Say which line of Node the tests are to run on${got}: npm run test:node -- ${TESTED.slice(0, -1).join('|')}|${last}.`,
  );
}

const node = sameLine() ? process.execPath : fetched();
const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout?.trim().replace(/^v/, '') ?? '';
if (version.split('.')[0] !== line)
  end(1, `${node} is no Node ${line}: it says ${JSON.stringify(version)}. Remove it.`);
if (!isNewEnough(version))
  end(
    1,
    `The newest Node ${line} that the registry has is ${version}, and ${OLDEST} or newer is needed: run this by one of this machine.`,
  );

console.error(`▸ Node ${version} (${node})`);
// What npm run says of the Node that it runs on would lead children to that one.
const env = { ...process.env, NODE: node, npm_node_execpath: node };
// On Windows it is called Path, and there may be but one.
const path = Object.keys(env).find((name) => name.toUpperCase() === 'PATH') ?? 'PATH';
env[path] = [dirname(node), env[path]].join(delimiter);
process.exit(await run(node, ['scripts/fresh.mjs', args.length === 0 ? 'quick' : 'test', ...args], { env }));

/** What runs this is of that line already, and new enough: nothing has to be fetched. */
function sameLine() {
  return process.versions.node.split('.')[0] === line && isNewEnough(process.versions.node);
}

/** The newest of the line that the registry has; the one of before where npm reaches none. */
function fetched() {
  const cache = process.env.XDG_CACHE_HOME || join(process.env.HOME || homedir(), '.cache');
  const folder = join(cache, 'audience-triggers', 'node', line);
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const name = `node-${platform}-${process.arch}`;
  const binary = join(folder, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  mkdirSync(folder, { recursive: true });
  const install = [
    'install',
    '--json',
    '--no-save',
    '--no-package-lock',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
  ];
  const { stdout } = spawnSync('npm', [...install, '--prefix', folder, `${name}@${line}`], {
    cwd: folder,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  const code = errorCode(stdout);
  if (code === undefined && existsSync(binary)) return binary;
  if (code === 'ETARGET' || code === 'E404')
    end(1, `The registry has no Node ${line} for ${platform}-${process.arch} (${name}).`);
  if (!existsSync(binary))
    end(1, `Node ${line} cannot be fetched: npm did not get ${name} (${code}). It needs the registry once.`);
  console.error(`▸ npm did not reach the registry (${code}): the Node ${line} of before is used.`);
  return binary;
}

/** As npm install --json says what went wrong. */
function errorCode(stdout) {
  try {
    return JSON.parse(stdout).error?.code;
  } catch {
    return 'npm cannot be run';
  }
}

function end(code, text) {
  console.error(text);
  process.exit(code);
}
