/**
 * Offline update of an ECU with partial verification (PURE-2): the Director's part of OFF-04 alone.
 * Unlike online, the Snapshot is looked at too: it is what makes an old campaign worthless.
 */
import type { Refusal } from '../codes.ts';
import { decide, entriesFor } from './director-policy.ts';
import { OfflineDirector } from './offline-director.ts';
import { partialRoles } from './root.ts';
import type { Decision, FileRequest, Verification, VerificationOptions } from './verification.ts';

export class OfflinePartialVerification implements Verification {
  private readonly options: VerificationOptions;
  private readonly director: OfflineDirector;
  private outcome: Decision | Refusal | undefined;

  /** @param options.now attested time, or the latest that is known (HRD-03, docs/POUF.md) */
  constructor(options: VerificationOptions) {
    this.options = options;
    this.director = new OfflineDirector(options, partialRoles);
    this.outcome = this.director.start();
  }

  ask(): FileRequest | undefined {
    return this.outcome === undefined ? this.director.ask() : undefined;
  }

  /** Codes of `OfflineDirector`. */
  supply(file: Uint8Array | undefined): Refusal | undefined {
    if (this.ask() === undefined) throw new Error('supply: nothing was asked for');
    const refused = this.director.supply(file);
    if (refused !== undefined) this.outcome = refused;
    else if (this.director.done()) {
      const targets = this.director.targets();
      this.outcome = decide(entriesFor(this.options.ecus, targets), targets);
    }
    return refused;
  }

  decision(): Decision | Refusal {
    if (this.outcome === undefined) throw new Error('decision: not ended yet');
    return this.outcome;
  }
}
