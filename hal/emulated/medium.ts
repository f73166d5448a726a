/** A removable medium, emulated by a folder: a memory stick that a person plugs in (PURE-2). */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { isMediumName } from '../medium-name.ts';
import type { Medium } from '../types.ts';

/** @param folder what the medium holds; it may come and go while the ECU runs */
export function createFolderMedium(folder: string): Medium {
  const withFile = <T>(name: string, use: (file: number) => T): T | undefined => {
    if (!isMediumName(name)) return undefined;
    let file: number;
    try {
      file = openSync(join(folder, name), constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch {
      return undefined;
    }
    try {
      return use(file);
    } catch {
      return undefined; // pulled out while it was read
    } finally {
      closeSync(file);
    }
  };
  return {
    length: (name) =>
      withFile(name, (file) => {
        const status = fstatSync(file);
        return status.isFile() ? status.size : undefined;
      }),
    read: (name, buffer, offset) =>
      withFile(name, (file) => readSync(file, buffer, 0, buffer.length, offset)) === buffer.length,
  };
}
