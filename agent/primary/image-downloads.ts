/** Encrypted images into the staging area, each checked against every listed hash (PRI-08 … PRI-10). */
import type { Refusal } from '../codes.ts';
import { sha256Of } from '../ecu/managed-ecu.ts';
import type { Target } from '../metadata/targets.ts';
import { type ImageSource, logProgress, type PrimaryContext } from './primary-context.ts';

/** PRI-01 step 4. Codes of `RepositoryClient.downloadImage` and `ImageStaging`. */
export async function downloadImages(
  primary: PrimaryContext,
  source: ImageSource,
  assignments: readonly Target[],
): Promise<Refusal | undefined> {
  const { staging } = primary;
  const { board } = primary.state.hal;
  const full = staging.reserve(assignments);
  if (full !== undefined) return full;
  for (const target of assignments) {
    const image = staging.find(sha256Of(target)!);
    if (image.received < image.length) {
      const writer = staging.writer(image);
      const { ecuId } = target.assignment!;
      const failed = await source.image(target, image.received, {
        onPiece: (piece) => {
          const refusal = writer.write(piece);
          logProgress(primary, 'download', ecuId, writer.received, target.length);
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
    const wrong = staging.check(image);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}
