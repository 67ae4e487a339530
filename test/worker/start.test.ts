import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, jest, test } from '@jest/globals';
import { noopMetricMeter } from '@temporalio/common';
import { DefaultLogger } from '@temporalio/worker';
import { compileWorkerOptions } from '@temporalio/worker/lib/worker-options.js';
import ts from 'typescript';
import { loadConfig } from '../../src/app/config.ts';
import { ConfigError } from '../../src/config/problems.ts';
import { workerDeployment, workflowCode } from '../../src/worker/deployment.ts';
import { runningLimits } from '../../src/app/worker.ts';
import { release } from '../../src/config/release.ts';
import type { RaisedAlert } from '../../src/contract/alert.ts';
import { MissingKeys, Readiness, type ReadinessOptions } from '../../src/worker/readiness.ts';
import { SourceError } from '../../src/activities/audience-source.ts';
import { tempFolder } from '../support/temp-folder.ts';

function configOf(variables: NodeJS.ProcessEnv) {
  return loadConfig({ env: variables });
}

test('a worker without a deployment name is unversioned', () => {
  expect(workerDeployment(configOf({}), { code: 'a' })).toBeUndefined();
});

test('runs of a worker with a deployment name stay with the build that began them', () => {
  const config = configOf({ TRIGGERS_DEPLOYMENT_NAME: 'crm', TRIGGERS_BUILD_ID: '7' });
  expect(workerDeployment(config, undefined)).toEqual({
    options: {
      version: { deploymentName: 'crm', buildId: '7' },
      useWorkerVersioning: true,
      defaultVersioningBehavior: 'PINNED',
    },
    version: 'crm:7',
  });
});

test('the default build id is the release and a checksum of the workflow code, wherever the code is', () => {
  const config = configOf({ TRIGGERS_DEPLOYMENT_NAME: 'crm' });
  const version = (code: string) => workerDeployment(config, { code })?.version;
  expect(version('a')).toMatch(new RegExp(`^crm:${release().replaceAll('.', '\\.')}-[0-9a-f]{12}$`));
  expect(version('a')).not.toBe(version('b'));
  const codePath = join(tempFolder(), 'bundle.js');
  writeFileSync(codePath, 'a');
  expect(workerDeployment(config, { codePath })?.version).toBe(version('a'));
});

test('a build id has to be given where the workflow code is bundled only when the worker starts', () => {
  const config = configOf({ TRIGGERS_DEPLOYMENT_NAME: 'crm' });
  expect(() => workerDeployment(config, undefined)).toThrow(ConfigError);
  expect(() => workerDeployment(config, undefined)).toThrow(/TRIGGERS_BUILD_ID/);
});

const MINUTE_MS = 60_000;

test('the SDK lets an activation take a minute: its default would end a worker whose machine stood still for 5 s', () => {
  const options = { taskQueue: 'q', ...runningLimits(configOf({})) };
  const compiled = compileWorkerOptions(options, new DefaultLogger('ERROR'), noopMetricMeter);
  // It is not in the SDK's types, so nothing else shows when the SDK gives it another name.
  expect(compiled).toMatchObject({ isolateExecutionTimeoutMs: MINUTE_MS });
});

const REASON = 'A payload is encrypted with the key "b", which is not among the payload keys here (a).';

function world() {
  const clock = { now: Date.UTC(2026, 0, 1) };
  const logged: unknown[] = [];
  const raised: RaisedAlert[] = [];
  const missing = new MissingKeys({
    log: { warn: (_, fields) => logged.push(fields) },
    raise: (alert) => Promise.resolve(void raised.push(alert)),
    now: () => clock.now,
  });
  return { clock, logged, raised, missing };
}

test('a job that waits for a payload key is logged once a minute, and raises an alert once an hour', () => {
  const { clock, logged, raised, missing } = world();
  for (let minute = 0; minute < 60; minute += 0.5) {
    missing.note('export-job-vip', REASON);
    clock.now += MINUTE_MS / 2;
  }
  expect(logged).toHaveLength(60);
  expect(logged[0]).toEqual({ jobId: 'vip', reason: REASON });
  expect(raised).toMatchObject([{ job: { id: 'vip' }, alert: { kind: 'payload-key-missing', text: REASON } }]);
  missing.note('export-job-vip', REASON);
  expect(new Set(raised.map(({ id }) => id)).size).toBe(2);
});

test('a worker is not ready while a job waits for its key and has asked in the last 15 minutes', () => {
  const { clock, missing } = world();
  expect(missing.problem()).toBeUndefined();
  missing.note('export-job-vip', REASON);
  missing.note('watch-0123', REASON);
  expect(missing.problem()).toBe(`The job "vip" (and 1 more) waits for a payload key. ${REASON}`);
  clock.now += 16 * MINUTE_MS;
  expect(missing.problem()).toBeUndefined();
});

test('a hundred waiting jobs are remembered, however many there are', () => {
  const { missing } = world();
  for (let n = 1; n <= 150; n++) missing.note(`export-job-${n}`, REASON);
  expect(missing.problem()).toContain('The job "51" (and 99 more)');
});

function begun(options: Partial<ReadinessOptions>): Readiness {
  const readiness = new Readiness();
  readiness.begin({
    isPolling: () => true,
    temporalProblem: () => Promise.resolve(undefined),
    sourceAnswers: () => Promise.resolve(),
    configProblem: () => undefined,
    payloadKeyProblem: () => undefined,
    ...options,
  });
  return readiness;
}

test('a worker is ready from when it has begun until it is ended', async () => {
  expect(await new Readiness().problem()).toBe('The worker is being started.');
  const readiness = begun({});
  expect(await readiness.problem()).toBeUndefined();
  readiness.end();
  expect(await readiness.problem()).toBe('The worker is being ended.');
});

test('a worker that does not ask for work is not ready, and says everything that is in the way', async () => {
  const readiness = begun({
    isPolling: () => false,
    temporalProblem: () => Promise.resolve('Temporal does not answer.'),
    sourceAnswers: () => Promise.reject(new SourceError('/data is not there.')),
    configProblem: () => 'The configuration is wrong.',
    payloadKeyProblem: () => 'A job waits for a payload key.',
  });
  expect(await readiness.problem()).toBe(
    'The worker does not ask Temporal for work. Temporal does not answer. The audience source does not answer. /data is not there. The configuration is wrong. A job waits for a payload key.',
  );
});

test('an unexpected error of a source is not shown to callers of the readiness check', async () => {
  const readiness = begun({ sourceAnswers: () => Promise.reject(new TypeError('canary-7f3a')) });
  expect(await readiness.problem()).toBe('The audience source does not answer.');
});

test('readiness asks Temporal and the source once in five seconds, however often it is asked', async () => {
  let asked = 0;
  const ask = () => {
    asked++;
    return Promise.resolve(undefined);
  };
  const readiness = begun({ temporalProblem: ask, sourceAnswers: ask });
  await Promise.all(Array.from({ length: 50 }, () => readiness.problem()));
  for (let times = 0; times < 50; times++) await readiness.problem();
  expect(asked).toBe(2);
});

test('a check of readiness that is answered leaves no timer behind', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  expect(await begun({}).problem()).toBeUndefined();
  expect(timers()).toBe(before);
});

test('a source that never answers is named within seconds, then at once, and is not asked again meanwhile', async () => {
  let asked = 0;
  const readiness = begun({
    sourceAnswers: () => {
      asked++;
      return new Promise(() => undefined);
    },
  });
  const late = 'The audience source has not answered within 3 s.';
  jest.useFakeTimers();
  try {
    const first = readiness.problem();
    await jest.advanceTimersByTimeAsync(2_900);
    const second = readiness.problem();
    await jest.advanceTimersByTimeAsync(100);
    expect(await Promise.all([first, second])).toEqual([late, late]);
    expect(await readiness.problem()).toBe(late);
  } finally {
    jest.useRealTimers();
  }
  expect(asked).toBe(1);
});

const SRC = fileURLToPath(new URL('../../src', import.meta.url));
const { workflowsPath, preloadModules, workflowInterceptorModules } = workflowCode();

/** Every module of ours that workflows run, by its path. */
const modules = new Map<string, ts.SourceFile>();
/** What they import of packages. */
const imported = new Set<string>();
read(workflowsPath);
for (const path of workflowInterceptorModules) read(path);
for (const name of ['payload', 'failure']) read(resolve(SRC, `temporal/${name}-converter.ts`));

function read(path: string): void {
  if (modules.has(path)) return;
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
  modules.set(path, source);
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) continue;
    const { moduleSpecifier: from } = statement;
    const isOfTypes = ts.isImportDeclaration(statement) ? statement.importClause?.isTypeOnly : statement.isTypeOnly;
    if (isOfTypes === true || from === undefined || !ts.isStringLiteral(from)) continue;
    if (from.text.startsWith('.')) read(resolve(path, '..', from.text));
    else imported.add(from.text);
  }
}

/** Variables of a module, and static properties of its classes. */
function* declarations(module: ts.SourceFile): Generator<{ readonly text: string; readonly isKept: boolean }> {
  for (const statement of module.statements) {
    if (ts.isVariableStatement(statement)) {
      const isConst = (statement.declarationList.flags & ts.NodeFlags.Const) !== 0;
      for (const one of statement.declarationList.declarations)
        yield { text: one.getText(), isKept: !isConst || isEmpty(one.initializer) };
    }
    if (!ts.isClassDeclaration(statement)) continue;
    for (const member of statement.members) {
      const modifiers = ts.canHaveModifiers(member) ? (ts.getModifiers(member) ?? []) : [];
      const has = (kind: ts.SyntaxKind): boolean => modifiers.some((modifier) => modifier.kind === kind);
      if (!ts.isPropertyDeclaration(member) || !has(ts.SyntaxKind.StaticKeyword)) continue;
      yield { text: member.getText(), isKept: !has(ts.SyntaxKind.ReadonlyKeyword) || isEmpty(member.initializer) };
    }
  }
}

const COLLECTION = /^(Weak)?(Array|Map|Set)$/;

/** Whether it begins empty, as what is there to be filled does. */
function isEmpty(value: ts.Expression | undefined): boolean {
  if (value === undefined) return true;
  if (ts.isNewExpression(value)) return COLLECTION.test(value.expression.getText()) && !value.arguments?.length;
  if (ts.isArrayLiteralExpression(value)) return value.elements.length === 0;
  return ts.isObjectLiteralExpression(value) && value.properties.length === 0;
}

test('workflow code keeps nothing between calls: all workflows of a worker share it', () => {
  const kept = [...modules].flatMap(([path, module]) =>
    [...declarations(module)].filter(({ isKept }) => isKept).map(({ text }) => `${relative(SRC, path)}: ${text}`),
  );
  expect(modules.size).toBeGreaterThan(40);
  expect(kept).toEqual([]);
});

// All that workflows load is in the build id of running jobs, and a changed word must not change it.
test('workflows load no words but the rows of a status, and of features only sandboxes and questions to workers', () => {
  const paths = [...modules.keys()].map((path) => relative(SRC, path));
  expect(paths.filter((path) => path.startsWith('words/'))).toEqual(['words/status-rows.ts']);
  const ofFeatures = paths.filter((path) => path.startsWith('features/'));
  expect(ofFeatures).toContain('features/watch/sandbox/watch-audience.ts');
  expect(ofFeatures.filter((path) => !/^features\/[^/]+\/(sandbox\/|ports\.ts$)/.test(path))).toEqual([]);
});

test('workflows load three packages beside the SDK, and zod is none of them', () => {
  const names = [...imported].map((from) => /^(@[^/]+\/)?[^/]+/.exec(from)?.[0]);
  const three = ['@noble/hashes', 'lossless-json', 'tinyqueue'];
  expect(new Set(names)).toEqual(new Set([...three, '@temporalio/common', '@temporalio/workflow']));
});

test('workflow code is loaded before the first workflow begins', () => {
  expect(preloadModules).toEqual([workflowsPath, ...workflowInterceptorModules]);
});
