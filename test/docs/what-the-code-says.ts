import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** What people may meet, read from the source text itself: what is added there is found here, and what is taken out is missed. */

const root = fileURLToPath(new URL('../../src', import.meta.url));

const files: ReadonlyMap<string, ts.SourceFile> = new Map(
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => [
      relative(root, join(root, path)),
      ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true),
    ]),
);

function* nodes(node: ts.Node): Generator<ts.Node> {
  yield node;
  for (const child of node.getChildren()) yield* nodes(child);
}

const all: readonly ts.Node[] = [...files.values()].flatMap((file) => [...nodes(file)]);

function nodesOf(path: string): readonly ts.Node[] {
  const file = files.get(path);
  if (file === undefined) throw new Error(`There is no src/${path} any more: correct this test.`);
  return [...nodes(file)];
}

interface ErrorClass {
  /** The `name` that it gives itself. */
  readonly ownName: string | undefined;
  /** When it is thrown: the beginning of its docstring, up to the first full stop, semicolon or colon. */
  readonly when: string;
}

/** Classes that extend Error, by name of the class. */
export function errorClasses(): ReadonlyMap<string, ErrorClass> {
  const classes = all.filter(ts.isClassDeclaration);
  const parents = new Map(classes.map((one) => [one.name?.text ?? '', parentOf(one)]));
  const isBelow = (name: string, ancestor: string): boolean =>
    name === ancestor || (parents.has(name) && isBelow(parents.get(name) ?? '', ancestor));
  const errors = classes.filter((one) => isBelow(one.name?.text ?? '', 'Error'));
  return new Map(
    errors.map((one) => {
      const name = one.name?.text ?? '';
      // The client's take the name of their class; nothing is made of the abstract ones.
      const isOfClient = isBelow(name, 'TriggersError') && !isAbstract(one);
      return [name, { ownName: isOfClient ? name : ownName(one), when: whenOf(one) }];
    }),
  );
}

function isAbstract({ modifiers = [] }: { readonly modifiers?: Iterable<ts.ModifierLike> }): boolean {
  return [...modifiers].some(({ kind }) => kind === ts.SyntaxKind.AbstractKeyword);
}

function parentOf({ heritageClauses = [] }: { readonly heritageClauses?: Iterable<ts.HeritageClause> }): string {
  const [clause] = [...heritageClauses].filter(({ token }) => token === ts.SyntaxKind.ExtendsKeyword);
  return clause?.types[0]?.expression.getText() ?? '';
}

function whenOf(one: ts.ClassDeclaration): string {
  const [{ comment } = {}] = ts.getJSDocCommentsAndTags(one);
  const text = (ts.getTextOfJSDocComment(comment) ?? '').replaceAll(/\s+/g, ' ');
  return text.split(/[.;:](?= |$)/)[0] ?? '';
}

function ownName({ members }: ts.ClassDeclaration): string | undefined {
  const property = members.filter(ts.isPropertyDeclaration).find(({ name }) => name.getText() === 'name');
  return property?.initializer === undefined ? undefined : literal(property.initializer);
}

/** Names of classes of which something is made. */
export function madeClasses(): ReadonlySet<string> {
  return new Set(all.filter(ts.isNewExpression).map(({ expression }) => expression.getText()));
}

/** The types of application failures. */
export function failureTypes(): ReadonlySet<string> {
  return new Set(all.filter(ts.isCallExpression).flatMap((call) => failureTypeOf(call)));
}

function failureTypeOf({ expression, arguments: args }: ts.CallExpression): string[] {
  const [, method] = /^ApplicationFailure\.(\w+)$/.exec(expression.getText()) ?? [];
  if (method === undefined) return [];
  if (method !== 'create') return literalsOf(args[1]);
  const [options] = args;
  const type = options && ts.isObjectLiteralExpression(options) ? propertyOf(options, 'type') : undefined;
  return literalsOf(type);
}

function propertyOf({ properties }: ts.ObjectLiteralExpression, wanted: string): ts.Expression | undefined {
  return properties.filter(ts.isPropertyAssignment).find(({ name }) => name.getText() === wanted)?.initializer;
}

/** What an expression stands for: itself, a constant of its file, or what callers give a parameter. */
function literalsOf(expression: ts.Expression | undefined): string[] {
  if (expression === undefined) throw new Error('A failure without a type: give it one.');
  const text = literal(expression);
  if (text !== undefined) return [text];
  const inFile = [...nodes(expression.getSourceFile())];
  const name = expression.getText();
  const constant = inFile.filter(ts.isVariableDeclaration).find((one) => one.name.getText() === name);
  if (constant?.initializer !== undefined) return literalsOf(constant.initializer);
  const maker = inFile
    .filter(ts.isFunctionDeclaration)
    .find((one) => one.pos <= expression.pos && expression.end <= one.end);
  const place = maker?.parameters.findIndex((parameter) => parameter.name.getText() === name) ?? -1;
  if (place < 0)
    throw new Error(`What type is ${name}, in ${expression.getSourceFile().fileName}? Write it as a literal.`);
  const isExported = maker?.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true;
  const calls = (isExported ? all : inFile)
    .filter(ts.isCallExpression)
    .filter((call) => call.expression.getText() === maker?.name?.text);
  return calls.flatMap((call) => literalsOf(call.arguments[place]));
}

/** The literals of a type that is a union of them, or of other such types of its file. */
export function unionOf(path: string, name: string): ReadonlySet<string> {
  const alias = nodesOf(path)
    .filter(ts.isTypeAliasDeclaration)
    .find((one) => one.name.text === name);
  if (alias === undefined) throw new Error(`There is no type ${name} in src/${path}: correct this test.`);
  const parts = ts.isUnionTypeNode(alias.type) ? [...alias.type.types] : [alias.type];
  return new Set(
    parts.flatMap((part) =>
      ts.isTypeReferenceNode(part) ? [...unionOf(path, part.getText())] : [part.getText().replaceAll("'", '')],
    ),
  );
}

/** The keys of a constant object, `[CODES.x]` as it is written. */
export function keysOf(path: string, constant: string): ReadonlySet<string> {
  const declaration = nodesOf(path)
    .filter(ts.isVariableDeclaration)
    .find((one) => one.name.getText() === constant);
  const value = declaration?.initializer;
  if (value === undefined || !ts.isObjectLiteralExpression(value))
    throw new Error(`There is no object ${constant} in src/${path}: correct this test.`);
  return new Set(value.properties.map((one) => one.name?.getText() ?? ''));
}

function literal(expression: ts.Expression): string | undefined {
  return ts.isStringLiteral(expression) || ts.isNoSubstitutionTemplateLiteral(expression) ? expression.text : undefined;
}
