/**
 * Goes on in the middle of an erase block (docs/SPEC.md §7), where blocks are larger than what is
 * recorded as durable at a time.
 *
 * What was programmed behind the last durable byte may be torn, and is erased only together with
 * the durable bytes before it. So these are copied to a spare block and, once that is recorded, back
 * into the erased one. Cut at any instant, one of the two holds them, and the record says which.
 * Costs two erasures, and at most two blocks of programming.
 */
import type { FlashPartition } from '../../hal/types.ts';
import { sameBytes } from '../codec/reader.ts';
import { slotReadBytes } from '../limits.ts';

export interface UnfinishedBlock {
  readonly partition: FlashPartition;
  /** Offset behind the last durable byte, at a programming unit. */
  readonly end: number;
  /** Block to which the durable beginning was moved before an earlier attempt was cut off. */
  readonly movedTo: number | undefined;
  /** A block whose content nobody needs; undefined when there is none. */
  readonly spare: number | undefined;
  /** Makes durable where the beginning lies: in this block, or (undefined) in its own again. */
  readonly recordMove: (block: number | undefined) => void;
}

/**
 * Makes the rest of the block behind `end` erased, with what is before `end` kept.
 * @returns false when that is not possible: only what lies before the block can be kept
 */
export function continueBlock(block: UnfinishedBlock): boolean {
  const { partition, end, movedTo, spare, recordMove } = block;
  const { blockLength } = partition.status();
  const length = end % blockLength;
  const begin = end - length;
  if (length === 0) return true;
  const keeper = movedTo ?? spare;
  if (keeper === undefined) return false;
  if (movedTo === undefined) {
    if (!copy(partition, begin, keeper * blockLength, length)) return false;
    recordMove(keeper);
  }
  if (!copy(partition, keeper * blockLength, begin, length)) return false;
  recordMove(undefined);
  return true;
}

/** Offset of the block in which `offset` lies. */
export function blockStart(partition: FlashPartition, offset: number): number {
  return offset - (offset % partition.status().blockLength);
}

/** Erases the block at `to` and fills it from `from`; false when the part keeps something else. */
function copy(partition: FlashPartition, from: number, to: number, length: number): boolean {
  partition.eraseBlock(to / partition.status().blockLength);
  partition.sync();
  const piece = new Uint8Array(Math.min(slotReadBytes, length));
  const kept = new Uint8Array(piece.length);
  for (let done = 0; done < length; done += piece.length) {
    const size = Math.min(piece.length, length - done);
    partition.read(piece.subarray(0, size), from + done);
    partition.write(piece.subarray(0, size), to + done);
    partition.sync();
    partition.read(kept.subarray(0, size), to + done);
    if (!sameBytes(kept.subarray(0, size), piece.subarray(0, size))) return false;
  }
  return true;
}
