/**
 * Durable small values as files of one folder (hal/types.ts `KeyValue`).
 *
 * A write goes to a temporary file, is synchronised, renamed over the old one, and the folder is
 * synchronised: after a power cut the old or the new value is there, whole. Keys become file names
 * by escaping, so no key can name a path (docs/SPEC.md §6).
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { KeyValue } from '../types.ts';
import { valueFileName } from '../value-file-name.ts';

const valueSuffix = '.value';
const temporarySuffix = '.new';
function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function writeWhole(path: string, value: Uint8Array): void {
  const file = openSync(path, 'w', 0o600);
  try {
    for (let done = 0; done < value.length; ) {
      done += writeSync(file, value, done, value.length - done);
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Opens the store in `folder`, which is created when missing; leftovers of cut writes go. */
export function createFileKeyValue(folder: string): KeyValue {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(folder)) {
    if (name.endsWith(temporarySuffix)) rmSync(join(folder, name));
  }
  return {
    read(key) {
      try {
        return new Uint8Array(readFileSync(join(folder, valueFileName(key) + valueSuffix)));
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    write(key, value) {
      const name = join(folder, valueFileName(key));
      writeWhole(name + temporarySuffix, value);
      renameSync(name + temporarySuffix, name + valueSuffix);
      syncFolder(folder);
    },
    delete(key) {
      rmSync(join(folder, valueFileName(key) + valueSuffix), { force: true });
      syncFolder(folder);
    },
  };
}
