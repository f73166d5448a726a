/**
 * Images over HTTP (RFC 9110 §14): one small buffer a download, whatever the image's size. They pass
 * through this process also when a store of another keeps them: devices know one server only. Only ciphertext is ever stored, so only ciphertext is served.
 */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { type Refusal, refuse } from '../../agent/codes.ts';
import { minimumBytesPerSecond } from '../../agent/limits.ts';
import { filename as filenameSchema } from '../../agent/metadata/common.ts';
import { fromJson } from '../http/json-view.ts';
import type { Services } from '../services.ts';
import { toHex } from '../store/blobs.ts';
import { type ImageRow, imageByDigest } from '../store/images.ts';

const pieceBytes = 65_536;
/** A receiver that takes one piece more slowly than the least rate (ECU-03) is given up. */
const pieceMilliseconds = (pieceBytes / minimumBytesPerSecond) * 1_000;

/**
 * The image behind `HASH.filename`, HASH being any of its digests in lower-case hex (FNM-02,
 * FNM-03). Codes `request-malformed`, `image-unknown`.
 */
export async function findImage(services: Services, name: string): Promise<ImageRow | Refusal> {
  const dot = name.indexOf('.');
  const hex = name.slice(0, Math.max(dot, 0));
  const filename = fromJson(filenameSchema, name.slice(dot + 1));
  if (!/^(?:[0-9a-f]{64}|[0-9a-f]{128})$/.test(hex) || typeof filename !== 'string') {
    return refuse('request-malformed', 'expected HASH.filename with a digest in lower-case hex');
  }
  const digest = Buffer.from(hex, 'hex');
  return (
    (await services.database.one(imageByDigest, filename, digest, digest)) ??
    refuse('image-unknown', `no image ${filename} with this hash`)
  );
}

/** A part of a file: first byte and the byte after the last. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * What a Range header asks of a file of `length` bytes.
 * @returns undefined for the whole file: no header, one that is not understood, several ranges (RFC
 *   9110 allows a server to ignore those), or an If-Range that names other content;
 *   `unsatisfiable` when the range lies behind the end
 */
export function chooseRange(
  header: string | undefined,
  ifRange: string | undefined,
  etag: string,
  length: number,
): ByteRange | undefined | 'unsatisfiable' {
  if (header === undefined || (ifRange !== undefined && ifRange !== etag)) return undefined;
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header);
  const [, first = '', last = ''] = match ?? [];
  if (match === null || (first === '' && last === '')) return undefined;
  if (first === '') {
    const count = Math.min(Number(last), length);
    return count === 0 ? 'unsatisfiable' : { start: length - count, end: length };
  }
  const start = Number(first);
  const end = last === '' ? length : Math.min(Number(last) + 1, length);
  if (last !== '' && Number(last) < start) return undefined;
  return start >= length ? 'unsatisfiable' : { start, end };
}

/** One answer to a download: status, headers, and which bytes follow (none after a 304). */
export interface Download {
  readonly status: 200 | 206 | 304;
  readonly headers: Readonly<Record<string, string>>;
  readonly range: ByteRange | undefined;
}

/** Reads the conditions of a request; `unsatisfiable` when it asks for bytes behind the end. */
export function planDownload(
  image: ImageRow,
  request: IncomingHttpHeaders,
): Download | 'unsatisfiable' {
  const { length } = image;
  const etag = `"${toHex(image.sha256)}"`;
  const headers = {
    etag,
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
    'cache-control': 'public, max-age=31536000, immutable',
  };
  if (request['if-none-match'] === etag) return { status: 304, headers, range: undefined };
  const part = chooseRange(request.range, request['if-range']?.toString(), etag, length);
  if (part === 'unsatisfiable') return part;
  const range = part ?? { start: 0, end: length };
  const bytes = { 'content-length': String(range.end - range.start) };
  if (part === undefined) return { status: 200, headers: { ...headers, ...bytes }, range };
  const place = { 'content-range': `bytes ${range.start}-${range.end - 1}/${length}` };
  return { status: 206, headers: { ...headers, ...bytes, ...place }, range };
}

/**
 * Sends what was planned.
 * @param bytes those of the planned range; undefined answers a HEAD, and a 304
 * @param waitMilliseconds how long the receiver may take for one piece of 64 KiB
 */
export async function sendDownload(
  services: Services,
  { status, headers, range }: Download,
  bytes: AsyncIterable<Uint8Array> | undefined,
  response: ServerResponse,
  waitMilliseconds: number = pieceMilliseconds,
): Promise<void> {
  response.writeHead(status, headers);
  if (bytes === undefined || range === undefined) {
    response.end();
    return;
  }
  let left = range.end - range.start;
  for await (const piece of bytes) {
    if (response.destroyed) return;
    left -= piece.length;
    if (response.write(piece) || (await drained(response, waitMilliseconds))) continue;
    services.metrics.slowDownloads.inc();
    response.destroy();
  }
  // Shorter than recorded: the receiver must not take it for whole.
  if (left === 0) response.end();
  else response.destroy();
}

/** Waits until the socket takes more or is gone; false when that takes longer than allowed. */
function drained(response: ServerResponse, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (inTime: boolean) => {
      clearTimeout(timer);
      response.off('drain', done);
      response.off('close', done);
      resolve(inTime);
    };
    const done = () => end(true);
    const timer = setTimeout(() => end(false), milliseconds);
    response.on('drain', done);
    response.on('close', done);
    // It may have gone before the listeners were there.
    if (response.destroyed) done();
  });
}
