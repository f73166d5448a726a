/**
 * `make licences`: every locked package has a permissive licence, every direct dependency is pinned
 * to one version and has its reason in docs/dependencies.md. Covers the project and `.node`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const permissive = [
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'Python-2.0',
  'Unlicense',
];

const kinds = ['dependencies', 'devDependencies', 'optionalDependencies'] as const;

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Lock {
  readonly packages: Readonly<
    Record<
      string,
      { readonly version?: string; readonly license?: string; readonly link?: boolean }
    >
  >;
}

/** True for an SPDX expression that can be satisfied by permissive licences alone. */
export function isPermissive(expression: string): boolean {
  const inner = expression.trim().replace(/^\(([^()]*)\)$/, '$1');
  if (/[()]/.test(inner)) return false;
  return inner
    .split(/\s+OR\s+/)
    .some((choice) => choice.split(/\s+AND\s+/).every((name) => permissive.includes(name.trim())));
}

/** Direct dependencies of a package.json with their versions. */
function directDependencies(manifest: Manifest): [name: string, version: string][] {
  return kinds.flatMap((kind) => Object.entries(manifest[kind] ?? {}));
}

/**
 * Checks the package.json and package-lock.json in `folder` of the project at `root`.
 * @param reasons text of docs/dependencies.md
 * @returns the violations, each with what to do
 */
export function checkPackages(root: string, folder: string, reasons: string): string[] {
  const read = (name: string) => JSON.parse(readFileSync(join(root, folder, name), 'utf8'));
  const manifest = read('package.json') as Manifest;
  const lock = read('package-lock.json') as Lock;
  const violations: string[] = [];
  for (const [path, { license, link, version }] of Object.entries(lock.packages)) {
    if (path === '' || link) continue;
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    if (license === undefined) {
      violations.push(`${name} ${version}: states no licence; find a package that does`);
    } else if (!isPermissive(license)) {
      violations.push(`${name} ${version}: licence ${license} is not permissive; replace it`);
    }
  }
  for (const [name, version] of directDependencies(manifest)) {
    if (!/^\d+\.\d+\.\d+(?:-[\w.-]+)?$/.test(version)) {
      violations.push(
        `${name}: '${version}' is a range; pin one version in ${folder}/package.json`,
      );
    } else if (lock.packages[`node_modules/${name}`]?.version !== version) {
      violations.push(`${name}: ${version} is not what package-lock.json has; run npm install`);
    }
    const line = reasons.split('\n').find((one) => one.startsWith(`| \`${name}\` |`));
    const reason = line?.split('|')[2]?.trim() ?? '';
    if (reason === '') {
      violations.push(`${name}: has no reason; add its line to docs/dependencies.md`);
    }
  }
  return violations;
}

/** Lines of docs/dependencies.md about packages that are gone. */
export function checkReasons(root: string, folders: readonly string[], reasons: string): string[] {
  const names = folders.flatMap((folder) => {
    const text = readFileSync(join(root, folder, 'package.json'), 'utf8');
    return directDependencies(JSON.parse(text) as Manifest).map(([name]) => name);
  });
  const listed = [...reasons.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1]!);
  return listed
    .filter((name) => !names.includes(name))
    .map((name) => `${name}: is in docs/dependencies.md but no dependency; remove its line`);
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '../..');
  const file = join(root, 'docs/dependencies.md');
  const reasons = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const folders = ['.', '.node'];
  const violations = folders.flatMap((folder) => checkPackages(root, folder, reasons));
  violations.push(...checkReasons(root, folders, reasons));
  for (const violation of violations) console.error(violation);
  console.log(`licences: ${violations.length} violations`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
