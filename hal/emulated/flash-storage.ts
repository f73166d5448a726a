/**
 * Where the bytes of an emulated flash part lie: in a file, or in memory for tests that cut the
 * power thousands of times. Every program and erase operation of the part passes through this
 * interface, so faults are injected by wrapping it.
 */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { NorStorage } from '../nor-partition.ts';

/** Stores what it is given: NOR's rule is kept by whoever calls it. */
export type FlashStorage = NorStorage;

const fillBytes = 1_048_576;

function fill(file: number, offset: number, length: number, value: number): void {
  const blank = new Uint8Array(Math.min(length, fillBytes)).fill(value);
  for (let done = 0; done < length; ) {
    done += writeSync(file, blank, 0, Math.min(blank.length, length - done), offset + done);
  }
}

/** Creates the file erased, under a temporary name first: a half-made part is never found. */
function createErased(path: string, size: number, eraseValue: number): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.new`;
  const file = openSync(temporary, 'w');
  fill(file, 0, size, eraseValue);
  fsyncSync(file);
  closeSync(file);
  renameSync(temporary, path);
}

/**
 * Opens the file of a part, created erased when missing.
 * @param size of the part in bytes; a file of another size throws
 */
export function openFileStorage(path: string, size: number, eraseValue: number): FlashStorage {
  if (!existsSync(path)) createErased(path, size, eraseValue);
  const file = openSync(path, 'r+');
  const found = fstatSync(file).size;
  if (found !== size) {
    closeSync(file);
    throw new Error(`flash: ${path} has ${found} bytes, its flash map needs ${size}`);
  }
  return {
    read(buffer, offset) {
      for (let done = 0; done < buffer.length; ) {
        const count = readSync(file, buffer, done, buffer.length - done, offset + done);
        if (count === 0) throw new Error(`flash: ${path} ends at ${offset + done}`);
        done += count;
      }
    },
    program(bytes, offset) {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(file, bytes, done, bytes.length - done, offset + done);
      }
    },
    erase: (offset, length, value) => fill(file, offset, length, value),
    // Pages belong to the file: those that other partitions have changed are written, too.
    sync: () => fdatasyncSync(file),
    close: () => closeSync(file),
  };
}

/** A part in memory. `bytes` is its content and may be inspected at any time. */
export function createMemoryStorage(bytes: Uint8Array): FlashStorage {
  return {
    read: (buffer, offset) => buffer.set(bytes.subarray(offset, offset + buffer.length)),
    program: (data, offset) => bytes.set(data, offset),
    erase: (offset, length, value) => void bytes.fill(value, offset, offset + length),
    sync: () => undefined,
    close: () => undefined,
  };
}
