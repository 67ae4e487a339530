import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const SRC = join(root, 'src/');
const APP = join(SRC, 'app/');

/** A name or a module in a file of the app, and what it means: it is lost with all declarations of any of these. */
interface Use {
  readonly node: ts.Node;
  readonly meanings: readonly (readonly ts.Node[])[];
}

/**
 * The files of one tsconfig.json below `src`, of which some can be taken out. The lists in `src/app` then lose each entry that names anything from
 * these files, or anything that was lost with such an entry. Nothing is written to disk.
 */
export class Product {
  readonly #names: readonly string[];
  readonly #options: ts.CompilerOptions;
  readonly #host: ts.CompilerHost;
  readonly #read = new Map<string, ts.SourceFile | undefined>();
  readonly #app: readonly ts.SourceFile[];
  readonly #uses: readonly Use[];
  /** What can be used of it is not read again. */
  #before: ts.Program | undefined;
  /** The files of the app that have changed, by name. */
  #changed = new Map<string, string>();
  #isGone: (path: string) => boolean = () => false;

  /** @param config the path of its tsconfig.json, of which only the files below `src` count */
  constructor(config: string) {
    const { fileNames, options } = ts.parseJsonConfigFileContent(
      ts.readConfigFile(join(root, config), (path) => ts.sys.readFile(path)).config,
      ts.sys,
      dirname(join(root, config)),
    );
    this.#names = fileNames.filter((path) => path.startsWith(SRC));
    // The linter finds what is no longer used.
    this.#options = { ...options, noUnusedLocals: false, noUnusedParameters: false, incremental: false };
    this.#host = this.#overlay(ts.createCompilerHost(this.#options));
    const program = this.#compile();
    const checker = program.getTypeChecker();
    this.#app = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(APP));
    this.#uses = this.#app.flatMap((file) => [...usesIn(file, checker)]);
  }

  /**
   * Takes out these files, and returns what is then wrong: imports of them, exports that the app lost, and what does not compile in the app.
   * @param isWhole also compiles everything else. Default: no. Nothing but what was taken out imports the app.
   */
  without(isGone: (path: string) => boolean, isWhole = false): string[] {
    this.#isGone = (path) => path.startsWith(SRC) && isGone(relative(root, path));
    const lost = this.#lost();
    const kept = this.#app.filter(({ fileName }) => !this.#isGone(fileName));
    const changed = kept.filter((file) => [...lost].some((node) => node.getSourceFile() === file));
    this.#changed = new Map(changed.map((file) => [file.fileName, printedWithout(file, lost)]));
    const problems = [...this.#importersOfGone(), ...kept.flatMap((file) => exportsLost(file, lost))];
    // Where nothing changes, everything is as it was.
    if (changed.length > 0 || isWhole) problems.push(...this.#complaints((path) => isWhole || path.startsWith(APP)));
    return problems;
  }

  #complaints(isWanted: (path: string) => boolean): string[] {
    const program = this.#compile();
    const files = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(SRC) && isWanted(fileName));
    return files
      .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
      .map(inWords);
  }

  #overlay(host: ts.CompilerHost): ts.CompilerHost {
    return {
      ...host,
      fileExists: (path) => !this.#isGone(path) && host.fileExists(path),
      getSourceFile: (path, version) => {
        const text = this.#changed.get(path);
        if (text !== undefined) return ts.createSourceFile(path, text, version, true);
        if (!this.#read.has(path)) this.#read.set(path, host.getSourceFile(path, version));
        return this.#read.get(path);
      },
    };
  }

  #compile(): ts.Program {
    const rootNames = this.#names.filter((path) => !this.#isGone(path));
    const before = this.#before && { oldProgram: this.#before };
    const program = ts.createProgram({ rootNames, options: this.#options, host: this.#host, ...before });
    this.#before = program;
    return program;
  }

  /** The entries that go, until no other names what went. */
  #lost(): Set<ts.Node> {
    const lost = new Set<ts.Node>();
    const isLost = (node: ts.Node): boolean =>
      ts.isSourceFile(node) ? this.#isGone(node.fileName) : lost.has(node) || isLost(node.parent);
    for (let before = -1; before < lost.size;) {
      before = lost.size;
      for (const { node, meanings } of this.#uses)
        if (!isLost(node) && meanings.some((declarations) => declarations.every(isLost))) lost.add(entryAround(node));
    }
    return lost;
  }

  #importersOfGone(): string[] {
    return this.#names
      .filter((path) => !path.startsWith(APP) && !this.#isGone(path))
      .flatMap((path) => {
        const { importedFiles } = ts.preProcessFile(this.#host.readFile(path) ?? '', true, true);
        return importedFiles
          .map(({ fileName }) => join(dirname(path), fileName))
          .filter((imported) => this.#isGone(imported))
          .map((imported) => `${relative(root, path)} imports ${relative(root, imported)}`);
      });
  }
}

function* usesIn(file: ts.SourceFile, checker: ts.TypeChecker): Generator<Use> {
  const nodes: ts.Node[] = [file];
  for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
    ts.forEachChild(node, (child) => void nodes.push(child));
    if (!ts.isIdentifier(node) && !ts.isStringLiteral(node)) continue;
    const symbols = meaningsOf(node, checker).filter((symbol) => symbol !== undefined);
    const meanings = symbols.map(({ declarations = [] }) => declarations).filter(({ length }) => length > 0);
    if (meanings.length > 0) yield { node, meanings };
  }
}

/** A name in an object or in a pattern means the property of its type, too. */
function meaningsOf(node: ts.Identifier | ts.StringLiteral, checker: ts.TypeChecker): (ts.Symbol | undefined)[] {
  const { parent, text } = node;
  const own = ts.isShorthandPropertyAssignment(parent)
    ? checker.getShorthandAssignmentValueSymbol(parent)
    : checker.getSymbolAtLocation(node);
  const aliased = own && (own.flags & ts.SymbolFlags.Alias) !== 0 ? checker.getAliasedSymbol(own) : undefined;
  const isNamed = ts.isObjectLiteralElement(parent) && parent.name === node;
  const inObject = isNamed && ts.isObjectLiteralExpression(parent.parent) ? parent.parent : undefined;
  const wanted = inObject && checker.getContextualType(inObject);
  const isTaken = ts.isBindingElement(parent) && (parent.propertyName ?? parent.name) === node;
  const taken = isTaken ? checker.getTypeAtLocation(parent.parent) : undefined;
  return [own, aliased, wanted?.getProperty(text), taken?.getProperty(text)];
}

/** The innermost entry of a list around a node. A list in a list is an entry of that. */
function entryAround(node: ts.Node): ts.Node {
  return isEntry(node) ? node : entryAround(node.parent);
}

function isEntry(node: ts.Node): boolean {
  const { parent } = node;
  if (ts.isArrayLiteralExpression(parent) || ts.isObjectLiteralElement(node))
    return !ts.isArrayLiteralExpression(parent.parent);
  if (ts.isUnionTypeNode(parent) || ts.isIntersectionTypeNode(parent)) return ts.isTypeAliasDeclaration(parent.parent);
  if (ts.isStatement(node)) return ts.isBlock(parent) || ts.isSourceFile(parent);
  return [
    ts.isCaseClause,
    ts.isClassElement,
    ts.isTypeElement,
    ts.isExpressionWithTypeArguments,
    ts.isImportSpecifier,
    ts.isExportSpecifier,
    ts.isBindingElement,
  ].some((is) => is(node));
}

function printedWithout(file: ts.SourceFile, lost: ReadonlySet<ts.Node>): string {
  const { transformed } = ts.transform(file, [
    (context) => (whole) => {
      const visit = (node: ts.Node): ts.Node | undefined =>
        lost.has(node) ? undefined : ts.visitEachChild(node, visit, context);
      return ts.visitEachChild(whole, visit, context);
    },
  ]);
  return transformed.map((one) => ts.createPrinter({ removeComments: true }).printFile(one)).join('\n');
}

/** Exports that a file of the app made by itself: only what comes from a feature may go with it. */
function exportsLost(file: ts.SourceFile, lost: ReadonlySet<ts.Node>): string[] {
  return file.statements
    .filter(
      (one) =>
        lost.has(one) &&
        ts.canHaveModifiers(one) &&
        ts.getModifiers(one)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword),
    )
    .map((one) => `${relative(root, file.fileName)} loses ${one.getText().split('\n')[0]}`);
}

function inWords({ file, start = 0, messageText }: ts.Diagnostic): string {
  const text = ts.flattenDiagnosticMessageText(messageText, ' ');
  if (file === undefined) return text;
  const { line } = file.getLineAndCharacterOfPosition(start);
  return `${relative(root, file.fileName)}: ${file.text.split('\n')[line]?.trim()} — ${text}`;
}
