/** A folder as key-value store: one file a key, each write whole or not at all. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isRefusal } from '../../agent/codes.ts';
import type { KeyValue } from '../../hal/types.ts';
import { readSmallFile, writeDurableFile } from '../signer/durable-file.ts';

const maxValueBytes = 4_194_304;

export class StateFolder implements KeyValue {
  private readonly folder: string;

  /** Makes the folder when it is not there; what the system says against it is thrown. */
  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  read(key: string): Uint8Array | undefined {
    const value = readSmallFile(this.pathOf(key), maxValueBytes);
    return isRefusal(value) ? undefined : value;
  }

  write(key: string, value: Uint8Array): void {
    writeDurableFile(this.pathOf(key), value);
  }

  delete(key: string): void {
    rmSync(this.pathOf(key), { force: true });
  }

  /** HRD-10: keys hold names of roles, which come from outside; encoded, none is a path. */
  private pathOf(key: string): string {
    return join(this.folder, encodeURIComponent(key).replace(/\./g, '%2E'));
  }
}
