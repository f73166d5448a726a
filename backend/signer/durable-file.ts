/**
 * Small files that must not be lost, torn or larger than expected: keys, Roots, Targets.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Refusal, refuse } from '../../agent/codes.ts';

/**
 * Reads a whole regular file of at most `maxBytes`.
 * Code `file-unreadable`: absent, not permitted, a folder, or larger.
 */
export function readSmallFile(path: string, maxBytes: number): Uint8Array | Refusal {
  let handle: number;
  try {
    handle = openSync(path, 'r');
  } catch (error) {
    return refuse('file-unreadable', `${path}: ${reasonOf(error)}`);
  }
  try {
    const status = fstatSync(handle);
    if (!status.isFile()) return refuse('file-unreadable', `${path}: not a regular file`);
    if (status.size > maxBytes) {
      return refuse('file-unreadable', `${path}: ${status.size} bytes, at most ${maxBytes}`);
    }
    const bytes = new Uint8Array(status.size);
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(handle, bytes, length, bytes.length - length, length);
      if (count === 0) return refuse('file-unreadable', `${path}: became shorter while read`);
      length += count;
    }
    return bytes;
  } catch (error) {
    return refuse('file-unreadable', `${path}: ${reasonOf(error)}`);
  } finally {
    closeSync(handle);
  }
}

/**
 * Writes a file so that after a crash at any instant its name holds the old content or the new.
 * Failing devices throw.
 * @param mode permission bits, 0o600 for secrets
 */
export function writeDurableFile(path: string, bytes: Uint8Array, mode = 0o644): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  rmSync(temporary, { force: true });
  try {
    const handle = openSync(temporary, 'wx', mode);
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(handle, bytes, done);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

/** Makes the names in a folder durable: creations, renames and deletions. */
export function syncFolder(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** What a person is told of a system error: its code in words where it is a common one. */
export function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'no such file or folder';
  if (code === 'EACCES' || code === 'EPERM') return 'no permission';
  if (code === 'EISDIR') return 'is a folder';
  if (code === 'ENOTDIR') return 'part of the path is not a folder';
  if (code === 'EEXIST' || code === 'ENOTEMPTY') return 'exists already';
  if (code === 'ENOSPC') return 'no space left on the device';
  return code ?? (error instanceof Error ? error.message : String(error));
}
