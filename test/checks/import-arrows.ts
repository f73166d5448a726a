/**
 * `make arrows`: the import arrows between the folders, and the language that tier 2 may use.
 * Prints each violation as `file:line: what, and what to do`.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, posix } from 'node:path';
import {
  agentTokens,
  type FolderRule,
  type ForbiddenToken,
  folderRules,
  tier2Roots,
  tier2Tokens,
} from './import-rules.ts';
import { importsOf, lineOf, scanSource } from './source-scan.ts';

const folders = ['agent', 'hal', 'boards', 'backend'];

interface Packages {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

interface SourceFile {
  readonly path: string;
  readonly source: string;
  readonly code: string;
  readonly regularExpressions: readonly number[];
  readonly imports: readonly {
    readonly specifier: string;
    readonly offset: number;
    readonly typeOnly: boolean;
    /** The project's own path; undefined for Node's modules and packages. */
    readonly target: string | undefined;
  }[];
}

function readSource(root: string, path: string): SourceFile {
  const source = readFileSync(join(root, path), 'utf8');
  const scanned = scanSource(source);
  const imports = importsOf(source, scanned).map((one) => ({
    ...one,
    target: one.specifier.startsWith('.')
      ? posix.normalize(posix.join(dirname(path), one.specifier))
      : undefined,
  }));
  return { path, source, ...scanned, imports };
}

function readSources(root: string): SourceFile[] {
  const files: SourceFile[] = [];
  for (const folder of folders) {
    if (!existsSync(join(root, folder))) continue;
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (/\.[cm]?[jt]s$/.test(name)) files.push(readSource(root, `${folder}/${name}`));
    }
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function ruleOf(path: string): FolderRule {
  const rules = folderRules.filter((rule) => path.startsWith(rule.folder));
  return rules.sort((a, b) => b.folder.length - a.folder.length)[0]!;
}

function packageName(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]!;
}

/** Why an import is not allowed; undefined when it is. */
function judgeImport(
  rule: FolderRule,
  specifier: string,
  target: string | undefined,
  packages: Packages,
): string | undefined {
  if (target !== undefined) {
    if (rule.own.some((prefix) => target.startsWith(prefix))) return undefined;
    const allowed = rule.own.length > 0 ? rule.own.join(', ') : 'nothing';
    return `${rule.folder} must not import ${target}: it may import ${allowed}`;
  }
  if (specifier.startsWith('node:') || builtinModules.includes(specifier)) {
    return rule.node ? undefined : `${rule.folder} must not import ${specifier}: use the HAL`;
  }
  const name = packageName(specifier);
  if (rule.packages === 'none') {
    return `${rule.folder} must not import the package ${name}: use the HAL`;
  }
  const development = rule.packages === 'development' ? packages.devDependencies : {};
  return Object.hasOwn({ ...packages.dependencies, ...development }, name)
    ? undefined
    : `${rule.folder} must not import ${name}: it is no run-time dependency in package.json`;
}

/** The files of tier 2: its roots, and every module that they load. */
function tier2Files(files: readonly SourceFile[]): ReadonlySet<string> {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const reached = new Set<string>();
  const paths = files.map(({ path }) => path);
  const pending = paths.filter((path) => tier2Roots.some((root) => path.startsWith(root)));
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    for (const { target, typeOnly } of byPath.get(path)?.imports ?? []) {
      if (target?.startsWith('agent/') && !typeOnly) pending.push(target);
    }
  }
  return reached;
}

function tokensIn(file: SourceFile, tokens: readonly ForbiddenToken[]): string[] {
  const found: string[] = [];
  for (const { pattern, what } of tokens) {
    for (const match of file.code.matchAll(pattern)) {
      // A key of that name is no use of the global.
      if (/^\??:/.test(file.code.slice(match.index + match[0].length))) continue;
      const line = lineOf(file.source, match.index);
      found.push(`${file.path}:${line}: '${match[0].replace(/\s+/g, ' ').trim()}' ${what}`);
    }
  }
  return found;
}

/** Checks the sources below `root`; returns the violations. */
export function checkImports(root: string): string[] {
  const packages = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Packages;
  const files = readSources(root);
  const tier2 = tier2Files(files);
  const violations: string[] = [];
  for (const file of files) {
    const rule = ruleOf(file.path);
    for (const { specifier, target, offset } of file.imports) {
      const problem = judgeImport(rule, specifier, target, packages);
      if (problem) violations.push(`${file.path}:${lineOf(file.source, offset)}: ${problem}`);
    }
    if (!file.path.startsWith('agent/')) continue;
    for (const match of file.code.matchAll(/(?<![.\w$])(?:import|require)\s*\(\s*[^\s'"`)]/g)) {
      const line = lineOf(file.source, match.index);
      violations.push(`${file.path}:${line}: import of a computed name: name the module`);
    }
    violations.push(...tokensIn(file, agentTokens));
    if (!tier2.has(file.path)) continue;
    violations.push(...tokensIn(file, tier2Tokens));
    for (const offset of file.regularExpressions) {
      const line = lineOf(file.source, offset);
      violations.push(`${file.path}:${line}: regular expression in tier 2: compare characters`);
    }
  }
  return violations;
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '../..');
  const violations = checkImports(root);
  for (const violation of violations) console.error(violation);
  console.log(`import arrows: ${readSources(root).length} files, ${violations.length} violations`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
