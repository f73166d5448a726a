/** Taking in an image's ciphertext: streamed, checked, stored whole or not at all (IMG-04, IMG-06). */
import { sameBytes } from '../../agent/codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { plaintextLength } from '../../agent/image/cobblestone.ts';
import { maxImageBytes } from '../../agent/limits.ts';
import type { UploadAnswer } from '../http/messages.ts';
import type { Services } from '../services.ts';
import { insertImage } from '../store/images.ts';
import type { Received } from '../store/spool.ts';
import { hashesOf, sha256Of } from './hashes.ts';
import { entriesOf } from './listing.ts';

/**
 * Stores one upload.
 * @param filename checked against the `filename` schema
 * @returns codes `body-incomplete`, `body-too-large`, `image-length` (no encrypted image has this
 *   length), `image-exists` (another image is published under this name)
 */
export async function receiveImage(
  services: Services,
  filename: string,
  stream: AsyncIterable<Uint8Array>,
): Promise<UploadAnswer | Refusal> {
  const accept = async ({ length, sha256 }: Received) => {
    const plaintext = plaintextLength(length);
    if (isRefusal(plaintext)) return plaintext;
    // A vehicle may be fetching the published one right now: a name keeps its content.
    const other = (await entriesOf(services, filename)).some((entry) => {
      const listed = sha256Of(entry.hashes);
      return listed === undefined || !sameBytes(listed, sha256);
    });
    return other ? refuse('image-exists', `another image is published as ${filename}`) : undefined;
  };
  const received = await services.blobs.receive(stream, maxImageBytes, accept);
  if (isRefusal(received)) return received;
  const { length, sha256, sha512 } = received;
  await services.database.run(insertImage, filename, sha256, sha512, length, services.now());
  return { filename, length, hashes: hashesOf(received) };
}
