/**
 * Partial verification (Uptane §5.4.4.1), for ECUs that cannot do more (ECU-08): Director Targets, and first
 * Director Root (PV-04, HRD-16), which is the only safe way to new Targets keys.
 *
 * Reached by tier 2: no BigInt, Map, Set, Promise, generator or RegExp from here on down.
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxDirectorTargetsBytes } from '../limits.ts';
import {
  decide,
  entriesFor,
  judgeDirectorTargets,
  keepsDirectorTargets,
} from './director-policy.ts';
import { partialRoles, RootUpdate, requireAuthority } from './root.ts';
import { acceptTargets } from './targets.ts';
import type { Decision, FileRequest, Verification, VerificationOptions } from './verification.ts';

export class PartialVerification implements Verification {
  private readonly options: VerificationOptions;
  private readonly rootUpdate: RootUpdate;
  private outcome: Decision | Refusal | undefined;

  constructor(options: VerificationOptions) {
    this.options = options;
    this.rootUpdate = new RootUpdate(options, 'director', partialRoles);
    this.outcome = this.rootUpdate.start();
  }

  ask(): FileRequest | undefined {
    if (this.outcome !== undefined) return undefined;
    // PV-03: without a Snapshot the version is not known, hence the unversioned name
    return (
      this.rootUpdate.ask() ?? {
        repository: 'director',
        name: 'targets.cbor',
        maxBytes: this.options.maxDirectorTargets ?? maxDirectorTargetsBytes,
      }
    );
  }

  /** Codes of the Root and Targets checks, `metadata-absent`, `net-endless`. */
  supply(file: Uint8Array | undefined): Refusal | undefined {
    const request = this.ask();
    if (request === undefined) throw new Error('supply: nothing was asked for');
    const refused = this.take(request, file);
    if (refused !== undefined) this.outcome = refused;
    return refused;
  }

  decision(): Decision | Refusal {
    if (this.outcome === undefined) throw new Error('decision: not ended yet');
    return this.outcome;
  }

  private take(request: FileRequest, file: Uint8Array | undefined): Refusal | undefined {
    const inRoot = !this.rootUpdate.done();
    // CRT-02, CTG-01: nobody reads more than was asked for
    if (file !== undefined && file.length > request.maxBytes) {
      const found = `${request.name}: ${file.length} bytes, at most ${request.maxBytes}`;
      return refuse('net-endless', found, inRoot ? 'CRT-02' : 'CTG-01');
    }
    if (inRoot) return this.rootUpdate.supply(file);
    if (file === undefined) return refuse('metadata-absent', request.name);

    const { options } = this;
    const authority = requireAuthority(options, this.rootUpdate.root(), 'targets');
    if (isRefusal(authority)) return authority;
    const rule = {
      repository: 'director',
      storeKey: 'targets',
      authority,
      maxBytes: request.maxBytes,
      judge: judgeDirectorTargets.bind(undefined, options),
      keep: keepsDirectorTargets.bind(undefined, options),
    } as const;
    const targets = acceptTargets(options, rule, file);
    if (isRefusal(targets)) return targets;
    this.outcome = decide(entriesFor(options.ecus, targets.value), targets.value);
    return undefined;
  }
}
