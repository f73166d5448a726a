/**
 * The files of an offline update on a medium (PURE-2; its layout: docs/POUF.md). Nothing on it is
 * believed: metadata is read to be verified, and read again only if it is still the same; images
 * and key objects are checked where they arrive. A medium that is pulled out is a failure of the
 * moment: what was staged stays, and goes on when it is back.
 */
import type { Crypto, Medium } from '../../hal/types.ts';
import { sameBytes } from '../codec/reader.ts';
import { type Refusal, refuse } from '../codes.ts';
import { sha256Of } from '../ecu/managed-ecu.ts';
import { maxKeyObjectBytes } from '../limits.ts';
import type { RepositoryName } from '../metadata/common.ts';
import type { Target } from '../metadata/targets.ts';
import type { FileRequest } from '../verify/verification.ts';
import type { ImageSink, ImageSource } from './primary-context.ts';

/** The one file by which a medium shows that it carries an offline update. */
export const campaignFile = 'director/offline-targets.cbor';
const pieceBytes = 16_384;

interface ReadFile {
  readonly name: string;
  readonly length: number;
  readonly sha256: Uint8Array;
}

export class MediumSource implements ImageSource {
  private readonly medium: Medium;
  private readonly crypto: Crypto;
  private readonly known: ReadFile[] = [];

  constructor(medium: Medium, crypto: Crypto) {
    this.medium = medium;
    this.crypto = crypto;
  }

  /**
   * Reads a metadata file for the verification, one byte more than its bound at most, and remembers
   * its digest. Undefined when it is not on the medium; code `medium-removed`.
   */
  metadata({ repository, name, maxBytes }: FileRequest): Uint8Array | undefined | Refusal {
    const path = `${repository}/${name}`;
    const file = this.file(path, maxBytes + 1);
    if (file === undefined) return this.gone();
    this.known.push({
      name: path,
      length: file.length,
      sha256: this.crypto.digest('SHA-256', file),
    });
    return file;
  }

  /**
   * ECU-05: a file that this Primary's verification has read and accepted. One that cannot be read
   * again, or is another now, means another medium: code `medium-removed`.
   */
  verified(repository: RepositoryName, name: string): Uint8Array | undefined | Refusal {
    const path = `${repository}/${name}`;
    const read = this.known.filter((one) => one.name === path)[0];
    if (read === undefined) return undefined;
    const file = this.file(path, read.length);
    const same = file !== undefined && sameBytes(this.crypto.digest('SHA-256', file), read.sha256);
    return same ? file : refuse('medium-removed', `${path} is not what it was`);
  }

  keyObject(sha256: Uint8Array): Promise<Uint8Array | Refusal> {
    const name = hexadecimal(sha256);
    const file = this.file(`keys/${name}`, maxKeyObjectBytes);
    const absent = () => this.gone() ?? refuse('key-object-hash', `${name} is not on the medium`);
    return Promise.resolve(file ?? absent());
  }

  image(target: Target, from: number, sink: ImageSink): Promise<Refusal | undefined> {
    return Promise.resolve(this.copy(target, from, sink));
  }

  private copy(target: Target, from: number, sink: ImageSink): Refusal | undefined {
    const path = `targets/${hexadecimal(sha256Of(target)!)}.${target.filename}`;
    const length = this.medium.length(path);
    if (length === undefined) {
      return this.gone() ?? refuse('metadata-absent', `${path} is not on the medium`, 'OFF-03');
    }
    // INS-09: the file is as long as the Targets say
    if (length !== target.length) {
      return refuse('image-length', `${path}: ${length} bytes, listed with ${target.length}`);
    }
    const buffer = new Uint8Array(pieceBytes);
    for (let at = from; at < length; at += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, length - at));
      if (!this.medium.read(path, piece, at))
        return refuse('medium-removed', `at ${at} of ${path}`);
      const refused = sink.onPiece(piece);
      if (refused !== undefined) return refused;
    }
    return undefined;
  }

  private file(path: string, maxBytes: number): Uint8Array | undefined {
    const length = this.medium.length(path);
    if (length === undefined) return undefined;
    const file = new Uint8Array(Math.min(length, maxBytes));
    return this.medium.read(path, file, 0) ? file : undefined;
  }

  /** A missing file is one thing, a missing medium another. */
  private gone(): Refusal | undefined {
    const there = this.medium.length(campaignFile) !== undefined;
    return there ? undefined : refuse('medium-removed', 'the medium is not there any more');
  }
}

function hexadecimal(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += (byte < 16 ? '0' : '') + byte.toString(16);
  return text;
}
