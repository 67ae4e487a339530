import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from '@jest/globals';
import { freePorts } from '../../../src/network/free-ports.ts';
import { MADE_FROM } from '../../../scripts/source-stamp.mjs';
import { root } from '../../docs/pages.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { jsonLines, Program, type ProgramOptions, triggers } from '../../support/triggers-cli.ts';

const ENGINE = `set -e; found=$(ops/containers/engine.sh); eval "$found"; ops/containers/stand-ins.sh
  printf '%s\\n%s\\n' "\${DOCKER_HOST:-}" "\${DOCKER_CONFIG:-}"`;
const found = spawnSync('bash', ['-c', ENGINE], { cwd: root, encoding: 'utf8' });
const missing = found.status === 0 ? undefined : (found.error?.message ?? found.stderr.trim());
if (missing !== undefined) process.stderr.write(`SKIPPED: nothing is run in containers. Missing is: ${missing}.\n`);

/** As `test`, and left out where there is no engine, no Compose, or no image to begin with. */
export const testInContainers = missing === undefined ? test : test.skip;

/** What the receiver says of a request; `id` is its webhook-id. */
export interface Arrival {
  readonly id: string;
  readonly user: string;
  readonly what: 'came' | 'answered';
  /** When it came, in ms since 1970. */
  readonly at: number;
  readonly authorization?: string;
}

/** What a command printed. */
export interface Said {
  readonly stdout: string;
  readonly stderr: string;
}

/** The installation of docker-compose.yml, from a copy of what it is made of: with a name, an image and ports of its own, and a receiver beside it. */
export class Installation {
  readonly folder = tempFolder();
  readonly image: string;
  readonly api: string;
  readonly ui: string;
  readonly #env: Readonly<Record<string, string>>;

  static async prepare(): Promise<Installation> {
    return new Installation(await freePorts(3));
  }

  private constructor([temporalPort = 0, apiPort = 0, uiPort = 0]: readonly number[]) {
    const project = `triggers-test-${process.pid}`;
    this.image = `${project}-worker`;
    this.api = `http://127.0.0.1:${apiPort}`;
    this.ui = `http://127.0.0.1:${uiPort}`;
    const [host = '', config = ''] = found.stdout.split('\n');
    this.#env = {
      ...(host === '' ? {} : { DOCKER_HOST: host }),
      ...(config === '' ? {} : { DOCKER_CONFIG: config }),
      COMPOSE_PROJECT_NAME: project,
      TEMPORAL_PORT: `${temporalPort}`,
      API_PORT: `${apiPort}`,
      TEMPORAL_UI_PORT: `${uiPort}`,
      TEMPORAL_ADDRESS: `127.0.0.1:${temporalPort}`,
    };
    for (const path of [
      ...MADE_FROM,
      'scripts',
      'docker-compose.yml',
      'Dockerfile',
      '.dockerignore',
      'ops',
      'examples',
    ])
      cpSync(join(root, path), join(this.folder, path), { recursive: true });
    cpSync(join(root, 'test/ops/containers/receiver.mjs'), join(this.folder, 'receiver.mjs'));
    const ours = { image: this.image };
    // Not our image, since it is to outlive an upgrade.
    const mounted = { volumes: ['./receiver.mjs:/receiver.mjs:ro'], command: ['node', '/receiver.mjs'] };
    const receiver = {
      ...mounted,
      image: /^FROM (node:\S+)/m.exec(readFileSync(join(root, 'Dockerfile'), 'utf8'))?.[1],
    };
    // JSON is YAML.
    this.write('docker-compose.override.yml', JSON.stringify({ services: { worker: ours, api: ours, receiver } }));
  }

  /** As an editor does: a new file takes the place of the old one. */
  write(path: string, text: string): void {
    writeFileSync(join(this.folder, '.new'), text);
    renameSync(join(this.folder, '.new'), join(this.folder, path));
  }

  /** Runs a line of a page. @throws when it fails. */
  async run(line: string): Promise<Said> {
    const program = new Program('sh', ['-c', line], {
      cwd: this.folder,
      env: { ...this.#env, HOME: process.env['HOME'] },
    });
    const { code, stdout, stderr } = await program.end();
    if (code !== 0) throw new Error(`${line} ended with ${code}: ${stderr}`);
    return { stdout, stderr };
  }

  /** Runs `triggers` on this machine, by the port that is published. @throws when it fails. */
  async triggers(args: readonly string[], options: ProgramOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await triggers(args, { ...options, env: this.#env });
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** Pushes an enter for each person. */
  async enter(job: string, users: readonly string[]): Promise<void> {
    const lines = users.map((user) => JSON.stringify({ event: 'enter', audience: 'vip', user, profile: {} }));
    await this.triggers(['push', job, '-'], { stdin: lines.join('\n') });
  }

  /** What came to the receiver, and what it has answered. */
  async arrivals(what: Arrival['what'] = 'came'): Promise<Arrival[]> {
    const { stdout } = await this.run('docker compose logs --no-log-prefix receiver');
    return jsonLines<Arrival>(stdout).filter((arrival) => arrival.what === what);
  }

  /** The containers of a service: those that run, or all. */
  async containers(service: string, { all = false } = {}): Promise<string[]> {
    const { stdout } = await this.run(`docker compose ps ${all ? '--all ' : ''}--quiet ${service}`);
    return stdout.split('\n').filter((id) => id !== '');
  }

  /** What the engine says of a container or an image. */
  async inspect<T>(what: string, format: string): Promise<T> {
    const { stdout } = await this.run(`docker inspect --format '{{json ${format}}}' ${what}`);
    return JSON.parse(stdout) as T; // The test says what it expects there.
  }

  async logs(service: string): Promise<string> {
    return (await this.run(`docker compose logs --no-log-prefix ${service}`)).stdout;
  }

  async remove(): Promise<void> {
    if (missing !== undefined) return;
    await this.run(
      `docker compose --profile '*' down --volumes --remove-orphans --timeout 0; docker image rm --force ${this.image}`,
    );
  }
}
