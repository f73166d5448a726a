/** A copy of the project in which every check can be removed, one per program, by REMOVED_CHECK. */
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  declaration,
  type Edit,
  findRemovableChecks,
  type RemovableCheck,
} from './removable-checks.ts';
import { readSource, sourcesBelow } from './source.ts';

/** Folders whose checks are removed. What drives demonstrations refuses nothing of its own. */
const checkedFolders = ['agent', 'backend'] as const;
const copied = ['agent', 'backend', 'boards', 'docs', 'hal', 'test', 'Makefile', 'package.json'];

/**
 * Writes the copy into `folder`, which is replaced.
 * @returns the checks in it; the number of each is its place in this list
 */
export function writeMutatedCopy(folder: string): readonly RemovableCheck[] {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of copied) cpSync(name, join(folder, name), { recursive: true });
  for (const path of ['node_modules', '.node']) symlinkSync(resolve(path), join(folder, path));

  const all: RemovableCheck[] = [];
  for (const path of checkedFolders.flatMap(sourcesBelow)) {
    if (path === 'agent/codes.ts' || path.startsWith('backend/fleet/')) continue;
    const { checks, edits } = findRemovableChecks(readSource(path));
    if (checks.length === 0 && edits.length === 0) continue;
    const every = checks.flatMap((check, i) => check.edits(all.length + i));
    writeFileSync(join(folder, path), edited(readFileSync(path, 'utf8'), [...every, ...edits]));
    all.push(...checks);
  }
  return all;
}

/** The source with all edits made; lines keep their numbers. */
export function edited(text: string, edits: readonly Edit[]): string {
  const inOrder = edits
    .map((edit, order) => ({ ...edit, order }))
    .sort((a, b) => a.at - b.at || a.order - b.order);
  let result = '';
  let from = 0;
  for (const { at, insert } of inOrder) {
    result += text.slice(from, at) + insert;
    from = at;
  }
  result += text.slice(from);
  const interpreter = /^#!.*\n/.exec(result)?.[0] ?? '';
  return interpreter + declaration + result.slice(interpreter.length);
}
