/** Finds a board description by what BOARD= says. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BoardError } from './load.ts';

const folder = import.meta.dirname;

/** Names of the boards in this folder, sorted. */
export function boardNames(): string[] {
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'board.json')))
    .sort();
}

/**
 * @param board a name of this folder's, or, with a slash in it or ending in `.json`, the path of a
 *   description or of the folder that holds it
 * @returns the description's path. Throws `BoardError` when there is none.
 */
export function findBoard(board: string): string {
  if (!/[/\\]|\.json$/.test(board)) {
    if (boardNames().includes(board)) return join(folder, board, 'board.json');
    const names = boardNames().join(', ');
    throw new BoardError(`BOARD=${board}`, [`expected one of ${names}, or a path to a board.json`]);
  }
  const path = resolve(board);
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  return isFolder ? join(path, 'board.json') : path;
}
