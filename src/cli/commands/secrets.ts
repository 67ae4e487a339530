import { Command } from '@commander-js/extra-typings';
import { newSigningSecret } from '../../config/new-secret.ts';
import type { Terminal } from '../terminal.ts';

export function secretsCommand(terminal: Terminal) {
  return new Command('secrets')
    .description('secrets that webhooks are signed with: new')
    .addCommand(newCommand(terminal))
    .addHelpText(
      'after',
      `
It takes --json and has more help: triggers secrets new --help

Example:
  triggers secrets new`,
    );
}

function newCommand(terminal: Terminal) {
  return new Command('new')
    .description('make a new signing secret (Standard Webhooks); nothing is kept of it')
    .option('--ed25519', 'a pair of keys: the receiver is given the public one only')
    .option('--json', 'print JSON for machines')
    .addHelpText(
      'after',
      `
The secret goes to standard output, what to do with it to standard error.

Example:
  triggers secrets new > crm-signing-secret`,
    )
    .action(({ ed25519, json }) => {
      const made = newSigningSecret(ed25519 === true ? 'ed25519' : 'hmac');
      if (json === true) return terminal.out(JSON.stringify(made));
      terminal.out(made.secret);
      terminal.err(
        made.publicKey === undefined
          ? "Name it in the worker's configuration, under signingSecrets of an authorization, and give it to the receiver."
          : `Name it in the worker's configuration, under signingSecrets of an authorization. The receiver is given\n${made.publicKey}`,
      );
    });
}
