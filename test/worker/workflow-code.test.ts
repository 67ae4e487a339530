import { readFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import ts from 'typescript';
import { workflowCode } from '../../src/worker/workflow-code.ts';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));
const { workflowsPath, preloadModules, workflowInterceptorModules } = workflowCode();

/** Every module of ours that workflows run, by its path. */
const modules = new Map<string, ts.SourceFile>();
read(workflowsPath);
for (const path of workflowInterceptorModules) read(path);
read(resolve(SRC, 'temporal/payload-converter.ts'));

function read(path: string): void {
  if (modules.has(path)) return;
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
  modules.set(path, source);
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) continue;
    const { moduleSpecifier: from } = statement;
    const isOfTypes = ts.isImportDeclaration(statement) ? statement.importClause?.isTypeOnly : statement.isTypeOnly;
    if (isOfTypes !== true && from !== undefined && ts.isStringLiteral(from) && from.text.startsWith('.'))
      read(resolve(path, '..', from.text));
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

test('it is loaded before the first workflow begins', () => {
  expect(preloadModules).toEqual([workflowsPath, ...workflowInterceptorModules]);
});
