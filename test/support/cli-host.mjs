// Runs commands of the built `triggers` in one warm process, one after the other: as lib/app/main.js does, with a terminal of strings.
// A process of its own for each command costs a second of a core, most of it for loading the same code.
import { Readable } from 'node:stream';
import { run } from '../../lib/app/program.js';

async function carryOut({ args, env, cwd, stdin }) {
  for (const name of Object.keys(process.env)) if (!Object.hasOwn(env, name)) delete process.env[name];
  Object.assign(process.env, env);
  process.chdir(cwd);
  const output = { stdout: '', stderr: '' };
  const code = await run(args, {
    interactive: false,
    columns: 80,
    paint: (_style, text) => text,
    stdin: Readable.from(stdin === '' ? [] : [Buffer.from(stdin)], { objectMode: false }),
    out: (text) => void (output.stdout += `${text}\n`),
    err: (text) => void (output.stderr += `${text}\n`),
    redraw: () => {
      throw new Error('Nobody sees this live.');
    },
  });
  process.send({ code, ...output });
}

process.on('message', (command) => void carryOut(command));
process.once('disconnect', () => process.exit());
