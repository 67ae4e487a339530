import { jest } from '@jest/globals';

// Each test file loads all that it imports anew. Reading Temporal's 1.4 MB of protobuf definitions takes longer than most tests that
// need a client of Temporal. These packages hold definitions and nothing of a test, so a jest worker reads them once.
const SHARED = [
  '@temporalio/proto',
  '@temporalio/proto/lib/patch-protobuf-root',
  'long',
  'protobufjs',
  'protobufjs/ext/descriptor',
  'protobufjs/ext/protojson',
  'protobufjs/light',
];

for (const name of SHARED) jest.mock(name, () => globalThis.requireShared(name));
