// Runs another program in our place, for scripts that prepare something first.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { root } from './source-stamp.mjs';

/**
 * Runs a program to its end and returns its exit code. A Ctrl-C reaches the program by itself (the terminal sends it to us all);
 * we only must not end before it. SIGTERM and SIGHUP are passed on.
 */
export function run(program, parameters, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, parameters, { cwd: root, stdio: 'inherit', ...options });
    const wait = () => {};
    // Without a terminal nobody but us hears an interrupt.
    const onInterrupt = process.stdin.isTTY ? wait : () => child.kill('SIGINT');
    const onTerminate = () => child.kill('SIGTERM');
    process.on('SIGINT', onInterrupt).on('SIGTERM', onTerminate).on('SIGHUP', onTerminate);
    child.once('error', (error) => {
      console.error(`${program} cannot be run: ${error.message}`);
      resolve(127);
    });
    child.once('close', (code, signal) => {
      process.off('SIGINT', onInterrupt).off('SIGTERM', onTerminate).off('SIGHUP', onTerminate);
      resolve(code ?? 128 + (constants.signals[signal] ?? 0));
    });
  });
}
