/**
 * Published test vectors, kept outside the repository in ../shared/vectors (relative to the project
 * root, where tests run). Sources: C2SP/wycheproof, the LAMPS composite-signature draft's repository,
 * cbor/test-vectors.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const folder = join('..', 'shared', 'vectors');

/**
 * Reads one vector file.
 * @param name file name without `.gz`
 * @param cases how many cases are skipped when the file is absent, for the printed line
 * @returns the parsed JSON; undefined when the file is absent, after printing `skipped: …`
 */
export function loadVectors<T>(name: string, cases = 1): T | undefined {
  const path = join(folder, name);
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as T;
  if (existsSync(`${path}.gz`)) {
    return JSON.parse(gunzipSync(readFileSync(`${path}.gz`)).toString('utf8')) as T;
  }
  console.log(`skipped: ${cases} ${name} is not in ${folder}`);
  return undefined;
}

/** Bytes of a hexadecimal string. */
export function fromHex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** Lower-case hexadecimal of bytes. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Bytes of a Base64 string. */
export function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}
