/**
 * What verification over both repositories has in common (Uptane §5.4.4.2 steps 5 to 10, PURE-2
 * OFF-04): the Director's part, then unless nothing is new the Image repository's, then that both
 * agree on every image, each image found through the delegations. FV-00: the repository map says
 * which images there may be; every image needs both repositories (MAP-04).
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import type { Snapshot } from '../metadata/snapshot.ts';
import type { Target, Targets } from '../metadata/targets.ts';
import { checkAgreement } from './agreement.ts';
import { describeClash, findClash, type Placement, placedImageOf } from './compatibility.ts';
import { DelegationSearch } from './delegations.ts';
import { decide, type Entry, entriesFor } from './director-policy.ts';
import { isMapped } from './repository-mapping.ts';
import type { VerificationContext } from './signed-file.ts';
import type { Decision, FileRequest, Verification, VerificationOptions } from './verification.ts';

/** The metadata of the Director, asked for and judged file by file. */
export interface DirectorPart {
  /** Loads the stored Root. Code `metadata-not-stored`. */
  start(): Refusal | undefined;
  ask(): FileRequest | undefined;
  supply(file: Uint8Array | undefined): Refusal | undefined;
  done(): boolean;
  /** This vehicle's Targets, once done. */
  targets(): Targets;
}

/** The metadata of the Image repository, down to its top-level Targets. */
export interface ImagesPart extends DirectorPart {
  snapshot(): Snapshot;
  /** Under which delegated Targets are judged and stored. */
  readonly context: VerificationContext;
}

export class TwoRepositories implements Verification {
  private readonly options: VerificationOptions;
  private readonly director: DirectorPart;
  private readonly images: ImagesPart;
  private entries: readonly Entry[] = [];
  private wanted: Decision | undefined;
  private imagesStarted = false;
  private search: DelegationSearch | undefined;
  private agreed = 0;
  private roleRequest: FileRequest | undefined;
  private outcome: Decision | Refusal | undefined;

  protected constructor(options: VerificationOptions, director: DirectorPart, images: ImagesPart) {
    this.options = options;
    this.director = director;
    this.images = images;
    // FV-01, FV-02: time was taken by the caller; the stored Root of the Director comes first
    this.note(director.start());
  }

  ask(): FileRequest | undefined {
    if (this.outcome !== undefined) return undefined;
    return this.director.ask() ?? this.images.ask() ?? this.roleRequest;
  }

  /**
   * VER-03: a failed step ends in a code that names it, every one of §5.4.4 and OFF-04 in
   * `agent/codes.ts`.
   */
  supply(file: Uint8Array | undefined): Refusal | undefined {
    const request = this.ask();
    if (request === undefined) throw new Error('supply: nothing was asked for');
    return this.note(this.take(request, file) ?? this.proceed());
  }

  decision(): Decision | Refusal {
    if (this.outcome === undefined) throw new Error('decision: not ended yet');
    return this.outcome;
  }

  private note(refused: Refusal | undefined): Refusal | undefined {
    if (refused !== undefined) this.outcome = refused;
    return refused;
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
      this.wanted = decide(this.entries, targets);
      // FV-06, OFF-04: nothing that is not installed already
      if (this.wanted.assignments.length === 0) {
        this.outcome = this.wanted;
        return undefined;
      }
      // FV-07: the Image repository's Root, and on through its roles
      this.imagesStarted = true;
      return this.images.start();
    }
    return this.images.done() ? this.agree() : undefined;
  }

  /**
   * FV-11: for every image listed for `ecus` — a Primary's are all of the vehicle — also for those
   * already installed, so that no bundle is taken of which one image is disputed.
   */
  private agree(): Refusal | undefined {
    if (this.search === undefined) {
      const { images } = this;
      this.search = new DelegationSearch(images.context, images.snapshot(), images.targets());
    }
    this.roleRequest = undefined;
    for (; this.agreed < this.entries.length; this.agreed++) {
      const { target, ecu } = this.entries[this.agreed]!;
      // MAP-03, FV-00: no mapping says which repositories answer for it, so none does
      if (!isMapped(this.options.repositoryMap, target.filename)) {
        return refuse('target-unmapped', target.filename);
      }
      // FV-12: exactly the same filename, through the delegations
      const found = this.search.find(target.filename, ecu.hardwareId);
      if (isRefusal(found)) return found;
      if ('request' in found) {
        this.roleRequest = found.request;
        return undefined;
      }
      const refused = checkAgreement(target, found.target);
      if (refused !== undefined) return refused;
    }
    const clash = this.options.everyEcu ? findClash(this.placements()) : undefined;
    // DIR-13: the Director judges bundles; who has its keys alone makes none that does not fit
    if (clash !== undefined) return refuse('bundle-incompatible', describeClash(clash));
    this.outcome = this.wanted;
    return undefined;
  }

  /** What every ECU of the vehicle would run: what is assigned, else what it runs now. */
  private placements(): readonly Placement[] {
    const assigned: Record<string, Target> = {};
    for (const { target, ecu } of this.entries) assigned[ecu.ecuId] = target;
    return this.options.ecus.map(({ ecuId, hardwareId, installed }) => {
      const target = assigned[ecuId];
      return { ecuId, hardwareId, image: target ? placedImageOf(target) : installed };
    });
  }
}
