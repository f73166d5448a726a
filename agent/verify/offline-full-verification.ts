/**
 * Offline update of a Primary or a Secondary with full verification (PURE-2, OFF-04): the files of a
 * medium, in the order of the Standard's full verification.
 */
import { OfflineDirector } from './offline-director.ts';
import { OfflineImages } from './offline-images.ts';
import { fullRoles } from './root.ts';
import { TwoRepositories } from './two-repositories.ts';
import type { VerificationOptions } from './verification.ts';

export class OfflineFullVerification extends TwoRepositories {
  /** @param options.now attested time, or the latest that is known (HRD-03, docs/POUF.md) */
  constructor(options: VerificationOptions) {
    super(options, new OfflineDirector(options, fullRoles), new OfflineImages(options));
  }
}
