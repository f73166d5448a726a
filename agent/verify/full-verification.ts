/**
 * Full verification (Uptane §5.4.4.2), from the two repositories.
 *
 * Where the Standard stops at an unchanged Director Snapshot (step 4), this goes on with the stored
 * Targets: an assignment that was verified but not installed is still found, and metadata that has
 * expired meanwhile is still refused.
 */
import { maxDirectorTargetsBytes, maxTargetsBytes } from '../limits.ts';
import { checkDelegations } from './delegations.ts';
import { judgeDirectorTargets, keepsDirectorTargets } from './director-policy.ts';
import { RepositoryVerification } from './repository-verification.ts';
import { TwoRepositories } from './two-repositories.ts';
import type { VerificationOptions } from './verification.ts';

export class FullVerification extends TwoRepositories {
  /** @param options.now attested time, taken by the caller (FV-01) */
  constructor(options: VerificationOptions) {
    const director = new RepositoryVerification(options, 'director', {
      maxBytes: options.maxDirectorTargets ?? maxDirectorTargetsBytes,
      judge: (targets, previous) => judgeDirectorTargets(options, targets, previous),
      keep: (targets) => keepsDirectorTargets(options, targets),
    });
    const images = new RepositoryVerification(options, 'images', {
      maxBytes: maxTargetsBytes,
      judge: (targets) => checkDelegations(options, targets),
    });
    super(options, director, images);
  }
}
