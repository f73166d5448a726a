/**
 * Boot control of one slot pair (hal/types.ts `Boot`), kept in a record log (docs/SPEC.md §4).
 *
 * Life of an update: activate → selectSlot takes one attempt and starts the trial → confirm. A
 * trial that is not confirmed while attempts remain is started again; then selectSlot rolls back.
 * A power cut during a trial counts as an attempt. Each change is one record, so that slot and
 * counter never disagree: the counter is at most the release counter of the confirmed image.
 */
import type {
  Boot,
  BootStatus,
  Crypto,
  FailedTrials,
  FlashPartition,
  RollbackReason,
  SlotImage,
} from '../../hal/types.ts';
import { sameBytes } from '../codec/reader.ts';
import {
  decode,
  encode,
  field,
  type Infer,
  integer,
  named,
  optional,
  record,
  unsigned,
} from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxFlashRecordBytes } from '../limits.ts';
import { filename, sha256 } from '../metadata/common.ts';
import { RecordLog } from './record-log.ts';

export const slotNumber = integer(0, 1);

/** What the records say of one slot's image. */
export const slotImage = record({
  filename: field(1, filename),
  releaseCounter: field(2, unsigned),
  length: field(3, unsigned),
  sha256: field(4, sha256),
});

const reasons = {
  unconfirmed: 1,
  watchdog: 2,
  'self-test': 3,
  'image-damaged': 4,
  withdrawn: 5,
} as const;
const maxFailedTrialsCounted = 255;

const failedTrials = record({
  releaseCounter: field(1, unsigned),
  sha256: field(2, sha256),
  count: field(3, integer(1, maxFailedTrialsCounted)),
});

const bootRecord = record({
  formatVersion: field(1, named({ 1: 1 })),
  confirmed: field(2, slotNumber),
  pending: optional(3, slotNumber),
  attemptsRemaining: field(4, integer(0, 255)),
  counter: field(5, unsigned),
  slot0: optional(6, slotImage),
  slot1: optional(7, slotImage),
  rolledBack: optional(8, slotImage),
  rollbackReason: optional(9, named(reasons)),
  failedTrials: optional(10, failedTrials),
  recovered: optional(11, named({ 1: 1 })),
});

type BootRecord = Infer<typeof bootRecord>;

interface BootState {
  readonly confirmed: number;
  readonly pending: number | undefined;
  readonly attemptsRemaining: number;
  readonly counter: number;
  readonly slots: readonly [SlotImage | undefined, SlotImage | undefined];
  readonly rolledBack: SlotImage | undefined;
  readonly rollbackReason: RollbackReason | undefined;
  readonly failedTrials: FailedTrials | undefined;
  readonly recovered: boolean;
}

/** The image that boots and the counter: what the journal keeps a copy of (docs/SPEC.md §5). */
export interface ConfirmedImage {
  readonly slot: number;
  readonly counter: number;
  readonly image: SlotImage;
}

function reasonOf(value: number | undefined): RollbackReason | undefined {
  const names = Object.keys(reasons) as RollbackReason[];
  return names.filter((name) => reasons[name] === value)[0];
}

function stateOf(stored: BootRecord): BootState | Refusal {
  const slots = [stored.slot0, stored.slot1] as const;
  const confirmed = slots[stored.confirmed];
  const { pending } = stored;
  if (confirmed === undefined || confirmed.releaseCounter < stored.counter) {
    return refuse('boot-block-corrupt', 'confirmed image missing or below the counter');
  }
  if (pending !== undefined && (pending === stored.confirmed || slots[pending] === undefined)) {
    return refuse('boot-block-corrupt', 'pending image missing or the confirmed one');
  }
  return {
    confirmed: stored.confirmed,
    pending,
    attemptsRemaining: stored.attemptsRemaining,
    counter: stored.counter,
    slots,
    rolledBack: stored.rolledBack,
    rollbackReason: reasonOf(stored.rollbackReason),
    failedTrials: stored.failedTrials,
    recovered: stored.recovered !== undefined,
  };
}

function recordOf(state: BootState): BootRecord {
  const { pending, rolledBack, rollbackReason, failedTrials } = state;
  const [slot0, slot1] = state.slots;
  return {
    formatVersion: 1,
    confirmed: state.confirmed,
    ...(pending !== undefined && { pending }),
    attemptsRemaining: state.attemptsRemaining,
    counter: state.counter,
    ...(slot0 && { slot0 }),
    ...(slot1 && { slot1 }),
    ...(rolledBack && { rolledBack }),
    ...(rollbackReason && { rollbackReason: reasons[rollbackReason] }),
    ...(failedTrials && { failedTrials }),
    ...(state.recovered && { recovered: 1 as const }),
  };
}

/** True when the failed trials were those of the image with this release and plaintext. */
export function areTrialsOf(
  failed: FailedTrials | undefined,
  releaseCounter: number,
  plaintextSha256: Uint8Array,
): failed is FailedTrials {
  return (
    failed !== undefined &&
    failed.releaseCounter === releaseCounter &&
    sameBytes(failed.sha256, plaintextSha256)
  );
}

/** One more failed trial of `image`; another image begins at 1. */
function withFailure(before: FailedTrials | undefined, image: SlotImage): FailedTrials {
  const { releaseCounter, sha256 } = image;
  const again = areTrialsOf(before, releaseCounter, sha256);
  const count = again ? Math.min(before.count + 1, maxFailedTrialsCounted) : 1;
  return { releaseCounter, sha256, count };
}

/** The slots with `image` (or nothing) in place of what was in `slot`. */
function withSlot(state: BootState, slot: number, image: SlotImage | undefined) {
  return slot === 0 ? ([image, state.slots[1]] as const) : ([state.slots[0], image] as const);
}

export class BootBlock implements Boot {
  private readonly log: RecordLog;
  private state: BootState;
  private active: number;

  private constructor(log: RecordLog, state: BootState, active: number) {
    this.log = log;
    this.state = state;
    this.active = active;
  }

  /**
   * Opens the boot control.
   * @param active the slot that runs, when a bootloader has chosen it; else call `selectSlot`
   * @returns code `boot-block-corrupt` when there is no valid record
   */
  static open(partition: FlashPartition, crypto: Crypto, active?: number): BootBlock | Refusal {
    const log = new RecordLog(partition, crypto);
    const payload = log.latest();
    if (payload === undefined) return refuse('boot-block-corrupt', 'no valid record');
    const stored = decode(bootRecord, payload, maxFlashRecordBytes);
    if (isRefusal(stored)) return refuse('boot-block-corrupt', stored.detail);
    const state = stateOf(stored);
    return isRefusal(state) ? state : new BootBlock(log, state, active ?? state.confirmed);
  }

  /** In the factory: `image` lies in slot 0 and is confirmed; nothing else is known. */
  static initialise(partition: FlashPartition, crypto: Crypto, image: SlotImage): BootBlock {
    const confirmed = { slot: 0, counter: image.releaseCounter, image };
    return BootBlock.create(partition, crypto, confirmed, false);
  }

  /**
   * For bootloaders: no record is left. Begins anew with what the journal knows.
   * What else was known (a trial, a failure) is lost, and `recovered` says so.
   */
  static recover(partition: FlashPartition, crypto: Crypto, confirmed: ConfirmedImage): BootBlock {
    return BootBlock.create(partition, crypto, confirmed, true);
  }

  private static create(
    partition: FlashPartition,
    crypto: Crypto,
    { slot, counter, image }: ConfirmedImage,
    recovered: boolean,
  ): BootBlock {
    const state: BootState = {
      confirmed: slot,
      pending: undefined,
      attemptsRemaining: 0,
      counter,
      slots: slot === 0 ? [image, undefined] : [undefined, image],
      rolledBack: undefined,
      rollbackReason: undefined,
      failedTrials: undefined,
      recovered,
    };
    const log = new RecordLog(partition, crypto);
    log.append(encode(bootRecord, recordOf(state)));
    return new BootBlock(log, state, slot);
  }

  status(): BootStatus {
    return { ...this.state, active: this.active };
  }

  /**
   * For bootloaders, once a start: the slot to run. Takes one attempt of a pending image before it
   * may run; without an attempt left, rolls back to the confirmed one.
   * @param byWatchdog the watchdog ended the run before
   */
  selectSlot(byWatchdog = false): number {
    const { pending, attemptsRemaining } = this.state;
    if (pending === undefined) {
      this.active = this.state.confirmed;
    } else if (attemptsRemaining > 0) {
      this.change({ attemptsRemaining: attemptsRemaining - 1 });
      this.active = pending;
    } else {
      this.rollback(byWatchdog ? 'watchdog' : 'unconfirmed');
      this.active = this.state.confirmed;
    }
    return this.active;
  }

  activate(slot: number, image: SlotImage, attempts: number): void {
    const { confirmed, counter } = this.state;
    if (slot !== 1 - confirmed || slot === this.active) {
      throw new Error(`activate: slot ${slot} is in use`);
    }
    if (image.releaseCounter < counter) throw new Error('activate: the image is too old');
    if (!(attempts >= 1)) throw new RangeError('attempts: expected 1 or more');
    this.change({
      pending: slot,
      attemptsRemaining: attempts,
      slots: withSlot(this.state, slot, image),
    });
  }

  confirm(): void {
    const { pending, slots, counter } = this.state;
    if (pending === undefined || pending !== this.active) {
      throw new Error('confirm: no trial is running');
    }
    // HRD-04: the counter rises with the confirmation, in the same record.
    this.change({
      confirmed: pending,
      pending: undefined,
      attemptsRemaining: 0,
      counter: Math.max(counter, slots[pending]!.releaseCounter),
      failedTrials: undefined,
    });
  }

  extendTrial(attempts: number): void {
    const { pending } = this.state;
    if (pending === undefined || pending !== this.active) {
      throw new Error('extendTrial: no trial is running');
    }
    if (!(attempts >= 1)) throw new RangeError('attempts: expected 1 or more');
    this.change({ attemptsRemaining: attempts });
  }

  rollback(reason: RollbackReason): void {
    const { pending, slots, failedTrials } = this.state;
    if (pending === undefined) throw new Error('rollback: no image is pending');
    const image = slots[pending]!;
    this.change({
      pending: undefined,
      attemptsRemaining: 0,
      slots: withSlot(this.state, pending, undefined),
      rolledBack: image,
      rollbackReason: reason,
      // INS-12: counted in the same record, so that no cut lets a bad image be tried for ever
      failedTrials: reason === 'withdrawn' ? failedTrials : withFailure(failedTrials, image),
    });
  }

  acknowledge(): void {
    if (this.state.rolledBack === undefined && !this.state.recovered) return;
    this.change({ rolledBack: undefined, rollbackReason: undefined, recovered: false });
  }

  /**
   * The slot that may replace a corrupt confirmed one: known, and not below the counter (HRD-04:
   * damage to the flash must not become a way to an older release). Its bytes are the caller's
   * to check.
   */
  spareSlot(): number | undefined {
    const spare = 1 - this.state.confirmed;
    const image = this.state.slots[spare];
    return image !== undefined && image.releaseCounter >= this.state.counter ? spare : undefined;
  }

  /** For bootloaders: the confirmed image is damaged, the one in `spareSlot` takes its place. */
  replaceConfirmed(): void {
    const spare = this.spareSlot();
    if (spare === undefined) throw new Error('replaceConfirmed: no spare image');
    const { confirmed, slots } = this.state;
    this.change({
      confirmed: spare,
      pending: undefined,
      attemptsRemaining: 0,
      slots: withSlot(this.state, confirmed, undefined),
      rolledBack: slots[confirmed],
      rollbackReason: 'image-damaged',
    });
    this.active = spare;
  }

  /**
   * For bootloaders: `confirmed` was confirmed, which is newer than what the records say. Either the
   * power went while that was recorded, or the newest record is lost (`recovered`).
   */
  adopt({ slot, counter, image }: ConfirmedImage): void {
    const { pending, slots } = this.state;
    const wasOnTrial = pending === slot && sameBytes(slots[slot]!.sha256, image.sha256);
    this.change({
      confirmed: slot,
      pending: undefined,
      attemptsRemaining: 0,
      counter,
      slots: withSlot(this.state, slot, image),
      failedTrials: undefined,
      ...(!wasOnTrial && { recovered: true }),
    });
    this.active = slot;
  }

  private change(changes: Partial<BootState>): void {
    const state = { ...this.state, ...changes };
    this.log.append(encode(bootRecord, recordOf(state)));
    this.state = state;
  }
}
