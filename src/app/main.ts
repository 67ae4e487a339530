#!/usr/bin/env node
import { run } from './program.ts';
import { processTerminal } from '../cli/terminal.ts';

process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  // A reader may stop early (| head); that is not a failure.
  if (code === 'EPIPE') process.exit();
  process.stderr.write(`error: the output cannot be written: ${code}\n`);
  process.exit(1);
});

process.exitCode = await run(process.argv.slice(2), processTerminal());
