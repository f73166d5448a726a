/** Pairs of repositories that were composed by hand, broken, and judged by `ota verify-repo`. */
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { rowsOf } from '../../agent/code-rows.ts';
import {
  assigned,
  compose,
  delegate,
  folder,
  image,
  type Json,
  type Model,
  model,
  newKey,
  ota,
  type RoleName,
  rootOf,
  settleFirstRoot,
  verifyWords,
} from './hand-made.ts';

/** The image that the repositories list, as an app of release 5. */
export const app = image('app-1.bin', 5);

export interface Pair {
  readonly director: Model;
  readonly images: Model;
}

/** Both list the image, which is assigned to the ECU. */
export const correct = (): Pair => ({
  director: model('director', [assigned(app)]),
  images: model('images', [app]),
});

/** Composes both repositories and judges them; `force` signs what is wrong, too. */
export async function judge(
  pair: Pair,
  force: boolean,
  more: readonly string[] = [],
): Promise<string> {
  const director = await compose(pair.director, force);
  const images = await compose(pair.images, force);
  return told(await ota([...verifyWords(director, images), ...more]));
}

/** `ok FILENAME…` or `CODE ROW`; the exit status has to agree. */
export function told({
  status,
  out,
  error,
}: {
  status: number;
  out: string;
  error: string;
}): string {
  if (out === '') return `${status} ${error}`;
  const { result, code, row, targets } = JSON.parse(out);
  assert.is(status, result === 'ok' ? 0 : 1);
  if (result !== 'ok') assert.ok(rowsOf(code).includes(row), `${code} ${row}`);
  return result === 'ok'
    ? `ok ${targets.map(({ filename }: Json) => filename).join(' ')}`
    : `${code} ${row}`;
}

/** The words with another value of one option. */
export function replaced(words: readonly string[], option: string, value: string): string[] {
  return words.map((word, i) => (words[i - 1] === option ? value : word));
}

let state = 0;
/** A folder for `--state` that does not exist yet. */
export const newState = (): string => join(folder, `state-${state++}`);

/** A new Root that lists other keys for a role, signed by old and new Root keys. */
export async function rotate(repository: Model, role: RoleName): Promise<void> {
  settleFirstRoot(repository);
  const before = repository.listed.root;
  const fresh = [await newKey()];
  repository.listed[role] = fresh;
  if (role !== 'root') repository.signs[role] = fresh;
  const by = role === 'root' ? [...before, ...fresh] : repository.listed.root;
  repository.roots.push({ payload: rootOf(repository, repository.roots.length + 1), keys: by });
}

/** A case: its name with its row, what is answered, and what is done to the repositories. */
export type Case = readonly [name: string, expected: string, act: Break];

export type Break = (pair: Pair) => void | Promise<void>;

/** Judges repositories that are right but for what is broken. */
export async function judgeBroken(act: Break): Promise<string> {
  const pair = correct();
  await act(pair);
  return judge(pair, true);
}

/** A Root with something wrong in it, signed as it has to be. */
export function nextRoot(repository: Model, change: (root: Json) => void): void {
  settleFirstRoot(repository);
  const root = rootOf(repository, repository.roots.length + 1);
  change(root);
  repository.roots.push({ payload: root, keys: repository.listed.root });
}

/** Moves the image from the top level to delegated roles. */
export async function behind(images: Model, names: string[], targets = [app], more: Json = {}) {
  images.payloads.targets.targets = [];
  await delegate(images.payloads.targets, images, names, targets, more);
}
