/** The Image repository's first, empty Targets: the ceremony signs them beside the first Root. */
import { join } from 'node:path';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { maxTargetsBytes } from '../../agent/limits.ts';
import type { Services } from '../services.ts';
import { readSmallFile } from '../signer/durable-file.ts';
import { latestImageMetadata } from '../store/metadata.ts';
import { publishTargets } from './publish.ts';

/**
 * Publishes `<folder>/images/1.targets.cbor` when nothing was published before.
 * @returns why it was not taken over, for the log; the operator may publish version 1 later
 */
export async function importFirstTargets(
  services: Services,
  folder: string,
): Promise<Refusal | undefined> {
  const { database } = services;
  if ((await database.one(latestImageMetadata, 'targets')) !== undefined) return undefined;
  const bytes = readSmallFile(join(folder, 'images', '1.targets.cbor'), maxTargetsBytes);
  const published = isRefusal(bytes) ? bytes : await publishTargets(services, 'targets', 1, bytes);
  return isRefusal(published) ? published : undefined;
}
