// The project's own sources as text and as syntax trees, for the tests of the house rules. Node only: load it with a dynamic import.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** Compiled folder, and the repository around it. */
export const COMPILED = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const ROOT = dirname(COMPILED);

/** Folders that hold the product, in the order of the import rule. */
export const PRODUCT = ['engine', 'kernels', 'weights', 'data', 'model', 'tasks', 'train', 'app'] as const;
const FOLDERS = [...PRODUCT, 'bench', 'test'];

export interface Source {
  /** Path from the repository, with forward slashes. */
  readonly path: string;
  /** First folder, or '' for a file at the top. */
  readonly folder: string;
  readonly text: string;
}

function walk(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap(e => (e.isDirectory() ? walk(`${folder}/${e.name}`) : [`${folder}/${e.name}`]));
}

/** Files of the project with one of these endings, generated ones left out. @param endings such as '.ts' @returns sources, by path */
export function sources(...endings: string[]): Source[] {
  const paths = ['index.ts', ...FOLDERS.flatMap(walk)].filter(p => endings.some(e => p.endsWith(e)) && !p.endsWith('.gen.ts') && !p.includes('/golden/') && !p.includes('/results/'));
  return paths.sort().map(path => {
    const known = read.get(path) ?? { path, folder: path.includes('/') ? path.split('/')[0]! : '', text: textOf(path) };
    read.set(path, known);
    return known;
  });
}

const read = new Map<string, Source>();
const trees = new WeakMap<Source, ts.SourceFile>();

/** Text of one file of the repository. @param path from the repository @returns text */
export const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** Syntax tree of a TypeScript source. @param source file @returns tree with parents */
export function treeOf(source: Source): ts.SourceFile {
  const tree = trees.get(source) ?? ts.createSourceFile(source.path, source.text, ts.ScriptTarget.ES2022, true);
  trees.set(source, tree);
  return tree;
}

export interface Import {
  readonly to: string;
  /** `await import()`, or a type that names a module. */
  readonly dynamic: boolean;
  /** Only types: gone after compilation. */
  readonly typeOnly: boolean;
}

/** Every module that a file names. @param source a TypeScript file @returns specifiers in order */
export function importsOf(source: Source): Import[] {
  const found: Import[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const { importClause } = node;
      found.push({ to: node.moduleSpecifier.text, dynamic: false, typeOnly: importClause?.isTypeOnly === true });
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
      found.push({ to: node.moduleSpecifier.text, dynamic: false, typeOnly: node.isTypeOnly });
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [to] = node.arguments;
      if (to && ts.isStringLiteral(to)) found.push({ to: to.text, dynamic: true, typeOnly: false });
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
      found.push({ to: node.argument.literal.text, dynamic: true, typeOnly: true });
    }
    ts.forEachChild(node, visit);
  };
  visit(treeOf(source));
  return found;
}

/** Path from the repository that a relative import of a file means. @param from importing file @param to its specifier @returns path */
export const resolve = (from: string, to: string): string => relative(ROOT, join(ROOT, dirname(from), to)).replaceAll('\\', '/');

export interface Declared {
  readonly name: string;
  readonly line: number;
  /** Text of the docstring, '' without one. */
  readonly doc: string;
  readonly kind: 'function' | 'class' | 'method' | 'getter';
}

const exported = (node: ts.HasModifiers): boolean => node.modifiers?.some(m => m.kind === ts.SyntaxKind.ExportKeyword) === true;
const hidden = (node: ts.ClassElement): boolean => ts.isConstructorDeclaration(node) || (node.name !== undefined && ts.isPrivateIdentifier(node.name)) ||
  (ts.canHaveModifiers(node) && node.modifiers?.some(m => m.kind === ts.SyntaxKind.PrivateKeyword || m.kind === ts.SyntaxKind.ProtectedKeyword || m.kind === ts.SyntaxKind.OverrideKeyword) === true);

/** Members that an interface of the same file documents for the classes that implement it. */
function documentedBy(tree: ts.SourceFile, node: ts.ClassDeclaration): Set<string> {
  const names = node.heritageClauses?.filter(h => h.token === ts.SyntaxKind.ImplementsKeyword).flatMap(h => h.types.map(t => t.expression.getText(tree))) ?? [];
  const faces = tree.statements.filter(ts.isInterfaceDeclaration).filter(s => names.includes(s.name.text));
  return new Set(faces.flatMap(f => f.members).filter(m => ts.getJSDocCommentsAndTags(m).length > 0).map(m => m.name?.getText(tree) ?? ''));
}

/** What a file exports that runs: functions, classes and their public methods. @param source a TypeScript file @returns declarations with docstrings */
export function exportsOf(source: Source): Declared[] {
  const tree = treeOf(source);
  const found: Declared[] = [];
  const add = (node: ts.Node, name: string, kind: Declared['kind']): void => {
    const doc = ts.getJSDocCommentsAndTags(node).map(d => d.getText(tree)).join('\n');
    found.push({ name, kind, doc, line: tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1 });
  };
  for (const statement of tree.statements) {
    if (ts.isFunctionDeclaration(statement) && exported(statement)) {
      if (statement.body && !found.some(f => f.name === statement.name?.text)) add(statement, statement.name?.text ?? 'default', 'function');
    } else if (ts.isVariableStatement(statement) && exported(statement)) {
      for (const d of statement.declarationList.declarations) {
        if (d.initializer && (ts.isArrowFunction(d.initializer) || ts.isFunctionExpression(d.initializer))) add(d, d.name.getText(tree), 'function');
      }
    } else if (ts.isClassDeclaration(statement) && exported(statement)) {
      const name = statement.name?.text ?? 'default';
      add(statement, name, 'class');
      const promised = documentedBy(tree, statement);
      for (const m of statement.members) {
        if (hidden(m) || (m.name && promised.has(m.name.getText(tree)))) continue;
        if (ts.isMethodDeclaration(m)) add(m, `${name}.${m.name.getText(tree)}`, 'method');
        else if (ts.isGetAccessor(m)) add(m, `${name}.${m.name.getText(tree)}`, 'getter');
      }
    }
  }
  return found;
}

/** Functions longer than a limit. @param source a TypeScript file @param limit lines @returns name and lines of each */
export function longFunctions(source: Source, limit: number): string[] {
  const tree = treeOf(source);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body) {
      const [a, b] = [node.getStart(tree), node.end].map(p => tree.getLineAndCharacterOfPosition(p).line) as [number, number];
      if (b - a + 1 > limit) found.push(`${source.path}:${a + 1} has a function of ${b - a + 1} lines`);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** Whether a file switches the type checker off. @param source a TypeScript file @returns true for `any` or a directive */
export function escapesTypes(source: Source): boolean {
  const visit = (node: ts.Node): boolean => node.kind === ts.SyntaxKind.AnyKeyword || ts.forEachChild(node, child => visit(child) || undefined) === true;
  return /^\s*\/\/\s*@ts-(ignore|nocheck|expect-error)/m.test(source.text) || visit(treeOf(source));
}

/** Names that a file exports as values, `export … from` included, and where they come from. @param source a TypeScript file @returns name to specifier */
export function reexports(source: Source): Map<string, string> {
  const names = new Map<string, string>();
  for (const s of treeOf(source).statements) {
    if (!ts.isExportDeclaration(s) || s.isTypeOnly || !s.moduleSpecifier || !ts.isStringLiteral(s.moduleSpecifier) || !s.exportClause || !ts.isNamedExports(s.exportClause)) continue;
    for (const e of s.exportClause.elements) if (!e.isTypeOnly) names.set(e.name.text, s.moduleSpecifier.text);
  }
  return names;
}

/** Identifiers inside the calls of a function in a file. @param source a TypeScript file @param callee name of the called function @returns all identifiers of the file if it calls the function, else none */
export function identifiersOfCallers(source: Source, callee: RegExp): Set<string> {
  const names = new Set<string>();
  let calls = false;
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) names.add(node.text);
    if (ts.isCallExpression(node) && callee.test(node.expression.getText())) calls = true;
    ts.forEachChild(node, visit);
  };
  visit(treeOf(source));
  return calls ? names : new Set();
}
