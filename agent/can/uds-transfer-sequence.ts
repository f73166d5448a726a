/**
 * The rules of a running transfer on the server (ISO 14229-1:2020, §14.4 and §14.5): the block
 * sequence counter starts at 1 and wraps from 0xff to 0; a repetition of the last block, whose
 * answer was lost, is answered again without being delivered again; never more and, at the exit,
 * never less than was announced.
 */
import { negative } from './uds.ts';

/** The block is new: deliver it. */
export const deliver = 0;
/** The block was delivered before: send `lastAnswer` again. */
export const repeat = 1;

export class TransferSequence {
  /** Answer to the last delivered block. */
  lastAnswer: Uint8Array | undefined;
  private readonly maxBlockBytes: number;
  private remaining: number | undefined;
  private expected = 1;

  /**
   * `maxBlockBytes` counts a whole request. `size` is what is to be transferred; undefined where
   * it is not known because the data travel packed.
   */
  constructor(maxBlockBytes: number, size: number | undefined) {
    this.maxBlockBytes = maxBlockBytes;
    this.remaining = size;
  }

  /** Judges a TransferData request: `deliver`, `repeat` or a negative response code. */
  judge(request: Uint8Array): number {
    if (request.length > this.maxBlockBytes) return negative.incorrectMessageLengthOrInvalidFormat;
    const counter = request[1]!;
    if (counter === this.expected) {
      const tooMuch = this.remaining !== undefined && request.length - 2 > this.remaining;
      return tooMuch ? negative.transferDataSuspended : deliver;
    }
    const last = (this.expected + 255) % 256;
    if (counter === last && this.lastAnswer !== undefined) return repeat;
    return negative.wrongBlockSequenceCounter;
  }

  /** Records that `count` bytes were taken and what was answered. */
  accept(count: number, answer: Uint8Array): void {
    this.expected = (this.expected + 1) % 256;
    if (this.remaining !== undefined) this.remaining -= count;
    this.lastAnswer = answer;
  }

  /** All that was announced has been taken. */
  get complete(): boolean {
    return this.remaining === undefined || this.remaining === 0;
  }
}
