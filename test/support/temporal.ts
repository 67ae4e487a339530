/** The Temporal server that the whole test run shares; each test file uses a task queue of its own. */
export interface TestTemporal {
  /** For what the run needs; removed at its end. */
  readonly folder: string;
  readonly address: string;
  readonly namespace: string;
  /** Base URL of its HTTP API. */
  readonly httpUrl: string;
  /** The `temporal` executable it was started with, for tests that need a server of their own or the CLI. */
  readonly cliPath: string;
  /** Our workflow code, bundled once, in the form that `Worker.create` takes. */
  readonly workflowBundle: { readonly codePath: string };
  /** The same for a worker that encrypts. */
  readonly encryptingWorkflowBundle: { readonly codePath: string };
}

export const temporal: TestTemporal = readFacts();

function readFacts(): TestTemporal {
  const facts = process.env['TEST_TEMPORAL'];
  if (facts === undefined) throw new Error('There is no test server: name this file in test/tiers.mjs.');
  return JSON.parse(facts) as TestTemporal; // written by global-setup.mjs of the same run
}
