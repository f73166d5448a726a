/**
 * Encrypted images into the staging area, each checked against every listed hash (PRI-08 … PRI-10),
 * and the key objects that go with them. Installation is a step of its own and may come much later.
 */
import { sameBytes } from '../codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { sha256Of } from '../ecu/managed-ecu.ts';
import type { Target } from '../metadata/targets.ts';
import type { KeyedTarget } from './ecu-installation.ts';
import type { ImageSource, PrimaryContext } from './primary-context.ts';

/**
 * PRI-01 step 4. Codes of `RepositoryClient` and `ImageStaging`, `key-object-hash`.
 * @returns every target with its key object
 */
export async function downloadImages(
  primary: PrimaryContext,
  source: ImageSource,
  targets: readonly Target[],
): Promise<readonly KeyedTarget[] | Refusal> {
  const full = primary.staging.reserve(targets);
  if (full !== undefined) return full;
  const keyed: KeyedTarget[] = [];
  for (const target of targets) {
    const refusal = await downloadImage(primary, source, target);
    if (refusal !== undefined) return refusal;
    const keyObject = await fetchKeyObject(primary, source, target);
    if (isRefusal(keyObject)) return keyObject;
    keyed.push({ target, keyObject });
    primary.progress.stage(target.assignment!.ecuId, 'downloaded');
  }
  return keyed;
}

async function downloadImage(
  { staging, progress, state }: PrimaryContext,
  source: ImageSource,
  target: Target,
): Promise<Refusal | undefined> {
  const { board } = state.hal;
  const { ecuId } = target.assignment!;
  const image = staging.find(sha256Of(target)!);
  if (image.received < image.length) {
    const writer = staging.writer(image);
    const failed = await source.image(target, writer.received, {
      onPiece: (piece) => {
        const refusal = writer.write(piece);
        progress.bytes(ecuId, 'download', writer.received, target.length);
        return refusal;
      },
      ...(image.etag === undefined ? {} : { etag: image.etag }),
      onEntityTag: (etag) => staging.keepEntityTag(image, etag),
      onRestart: () => writer.restart(),
      onRetry: ({ refused, detail }, milliseconds) =>
        board.log(`retry ecu=${ecuId} code=${refused} in=${milliseconds} detail=${detail}`),
    });
    const unfinished = writer.finish();
    if (failed !== undefined || unfinished !== undefined) return failed ?? unfinished;
  }
  return staging.check(image);
}

/** Judged here as the ECU will judge it, so that a key object changed on the way is no failure of the ECU. */
async function fetchKeyObject(
  { state }: PrimaryContext,
  source: ImageSource,
  target: Target,
): Promise<Uint8Array | Refusal> {
  const { keyObjectSha256, keyObjectLength } = target.assignment!;
  const keyObject = await source.keyObject(keyObjectSha256);
  if (isRefusal(keyObject)) return keyObject;
  const digest = state.hal.crypto.digest('SHA-256', keyObject);
  return keyObject.length === keyObjectLength && sameBytes(digest, keyObjectSha256)
    ? keyObject
    : refuse('key-object-hash', `key object of ${target.filename}`);
}
