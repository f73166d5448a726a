/**
 * Offline update of a Primary or a Secondary with full verification (PURE-2, OFF-04): the Director's
 * part, and unless nothing is new the Image repository's, then that both agree on every image.
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { checkAgreement } from './agreement.ts';
import { DelegationSearch } from './delegations.ts';
import { decide, type Entry, entriesFor } from './director-policy.ts';
import { OfflineDirector } from './offline-director.ts';
import { OfflineImages } from './offline-images.ts';
import { fullRoles } from './root.ts';
import type { Decision, FileRequest, Verification, VerificationOptions } from './verification.ts';

export class OfflineFullVerification implements Verification {
  private readonly options: VerificationOptions;
  private readonly director: OfflineDirector;
  private readonly images: OfflineImages;
  private entries: readonly Entry[] = [];
  private imagesStarted = false;
  private search: DelegationSearch | undefined;
  private agreed = 0;
  private roleRequest: FileRequest | undefined;
  /** What becomes the outcome when the Image repository agrees. */
  private decided: Decision | undefined;
  private outcome: Decision | Refusal | undefined;

  /** @param options.now attested time, or the latest that is known (HRD-03, docs/POUF.md) */
  constructor(options: VerificationOptions) {
    this.options = options;
    this.director = new OfflineDirector(options, fullRoles);
    this.images = new OfflineImages(options);
    this.outcome = this.director.start();
  }

  ask(): FileRequest | undefined {
    if (this.outcome !== undefined) return undefined;
    return this.director.ask() ?? this.images.ask() ?? this.roleRequest;
  }

  /** Codes: those of OFF-04's steps, and every one of §5.4.4.7 and §5.4.4.2 step 10. */
  supply(file: Uint8Array | undefined): Refusal | undefined {
    const request = this.ask();
    if (request === undefined) throw new Error('supply: nothing was asked for');
    const refused = this.take(request, file) ?? this.proceed();
    if (refused !== undefined) this.outcome = refused;
    return refused;
  }

  decision(): Decision | Refusal {
    if (this.outcome === undefined) throw new Error('decision: the verification has not ended');
    return this.outcome;
  }

  private take(request: FileRequest, file: Uint8Array | undefined): Refusal | undefined {
    if (this.director.ask() !== undefined) return this.director.supply(file);
    if (this.images.ask() !== undefined) return this.images.supply(file);
    // CTG-01, HRD-08: delegated files are bounded as the top level is
    if (file !== undefined && file.length > request.maxBytes) {
      return refuse('net-endless', `${request.name}: ${file.length} bytes`, 'CTG-01');
    }
    return this.search?.supply(file);
  }

  private proceed(): Refusal | undefined {
    if (!this.director.done()) return undefined;
    if (!this.imagesStarted) {
      const targets = this.director.targets();
      this.entries = entriesFor(this.options.ecus, targets);
      this.decided = decide(this.entries, targets);
      // OFF-04: stop when nothing is new
      if (this.decided.assignments.length === 0) {
        this.outcome = this.decided;
        return undefined;
      }
      this.imagesStarted = true;
      return this.images.start();
    }
    return this.images.done() ? this.agree() : undefined;
  }

  /** OFF-04: Director and Image metadata match, for every image listed for `ecus`. */
  private agree(): Refusal | undefined {
    const { images } = this;
    this.search ??= new DelegationSearch(images.context, images.snapshot(), images.targets());
    this.roleRequest = undefined;
    for (; this.agreed < this.entries.length; this.agreed++) {
      const { target, ecu } = this.entries[this.agreed]!;
      const found = this.search.find(target.filename, ecu.hardwareId);
      if (isRefusal(found)) return found;
      if ('request' in found) {
        this.roleRequest = found.request;
        return undefined;
      }
      const refused = checkAgreement(target, found.target);
      if (refused !== undefined) return refused;
    }
    this.outcome = this.decided;
    return undefined;
  }
}
