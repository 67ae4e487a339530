import { Command } from '@commander-js/extra-typings';
import { newPayloadKey, newSigningSecret } from '../../config/new-secret.ts';
import { sentences } from '../render.ts';
import type { Terminal } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';

export function secretsCommand(terminal: Terminal) {
  return new Command('secrets')
    .description('secrets for webhooks and for Temporal: new')
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
    .description('make a signing secret (Standard Webhooks), or a payload key; it is stored nowhere')
    .option('--ed25519', 'a pair of keys: the receiver gets only the public one')
    .option('--payload-key', 'a key that encrypts what is in Temporal (docs/encryption.md), with this month as its id')
    .option('--json', 'print JSON for machines')
    .addHelpText(
      'after',
      `
The secret goes to standard output, what to do with it to standard error.

Example:
  triggers secrets new > crm-signing-secret`,
    )
    .action(({ ed25519, payloadKey, json }) => {
      if (ed25519 === true && payloadKey === true)
        throw new UsageError('Use either --ed25519 or --payload-key, not both.');
      if (payloadKey === true) return sayPayloadKey(terminal, json === true);
      const made = newSigningSecret(ed25519 === true ? 'ed25519' : 'hmac');
      if (json === true) return terminal.out(JSON.stringify(made));
      terminal.out(made.secret);
      const advice =
        made.publicKey === undefined
          ? "Put it into the worker's configuration, under signingSecrets of an authorization, and give it to the receiver."
          : `Put it into the worker's configuration, under signingSecrets of an authorization. Give the receiver\n${made.publicKey}`;
      terminal.err(sentences(advice, terminal));
    });
}

function sayPayloadKey(terminal: Terminal, json: boolean): void {
  const made = newPayloadKey(new Date().toISOString().slice(0, 'YYYY-MM'.length));
  if (json) return terminal.out(JSON.stringify(made));
  terminal.out(made.secret);
  const advice =
    'Give it to every worker and client as TRIGGERS_PAYLOAD_KEYS, or under payloadKeys. If you lose it, you lose the jobs: keep a copy where your other secrets are.';
  terminal.err(sentences(advice, terminal));
}
