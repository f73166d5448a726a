/** Writing a slot while the part is busy: order, queue, erasing ahead, what is told when. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SlotWriter } from '../../../agent/install/slot-writer.ts';
import {
  cobblestoneChunkBytes,
  maxEraseAheadBytes,
  maxQueuedChunks,
} from '../../../agent/limits.ts';
import type { Flash, FlashPartition } from '../../../hal/types.ts';
import { nor4KiB, TimedFlash } from '../../simulator/timed-flash.ts';
import { VirtualClock } from '../../simulator/virtual-clock.ts';
import { createRig, slotBytes } from './rig.ts';

const test = suite('Slot writer');
const chunk = cobblestoneChunkBytes;
const blockLength = 4_096;
const programChunk = (chunk / nor4KiB.pageBytes) * nor4KiB.programPage;
const eraseChunk = (chunk / blockLength) * nor4KiB.eraseBlock;

interface Bench {
  readonly writer: SlotWriter;
  readonly clock: VirtualClock;
  /** Erasures as `erase first-last`, writes as `write offset`. */
  readonly operations: string[];
  readonly programmed: number[];
  readonly flash: TimedFlash | undefined;
  content(length: number): Uint8Array;
}

function bench(end: number, timed: boolean, start = 0): Bench {
  const clock = new VirtualClock();
  const rig = createRig({ slotBlocks: 80 });
  const operations: string[] = [];
  const programmed: number[] = [];
  const noted = noteOperations(rig.flash, operations);
  const flash = timed ? new TimedFlash(noted, nor4KiB, clock) : undefined;
  const partition = (flash ?? noted).open({ path: 'slot-b' });
  const onProgrammed = (offset: number) => {
    assert.not.ok(partition.status().busy, 'told while the part is busy');
    programmed.push(offset);
  };
  const writer = new SlotWriter({ partition, start, end, onProgrammed });
  const content = (length: number) => slotBytes(rig, 1).subarray(0, length);
  return { writer, clock, operations, programmed, flash, content };
}

function noteOperations(flash: Flash, operations: string[]): Flash {
  return {
    open: (options) => {
      const partition: FlashPartition = flash.open(options);
      const erase = partition.eraseBlock.bind(partition);
      const write = partition.write.bind(partition);
      partition.eraseBlock = (from, to = from + 1) => {
        operations.push(`erase ${from}-${to - 1}`);
        erase(from, to);
      };
      partition.write = (buffer, offset) => {
        operations.push(`write ${offset}`);
        write(buffer, offset);
      };
      return partition;
    },
  };
}

function bytesOf(seed: number, length = chunk): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed * 31 + (i >> 8)) % 256);
}

test('a part that is never busy: each chunk at once, nothing queued, nothing erased ahead', () => {
  const { writer, operations, programmed } = bench(10 * chunk, false);
  writer.prepare();
  assert.equal(operations, ['erase 0-3']);
  writer.write(bytesOf(1), 0);
  writer.write(bytesOf(2), chunk);
  assert.equal(operations, ['erase 0-3', 'write 0', 'erase 4-7', `write ${chunk}`]);
  assert.equal(programmed, [chunk, 2 * chunk]);
  assert.ok(writer.idle && writer.hasRoom);
});

test('a busy part: calls return at once, and the queue is written in order while time passes', () => {
  const { writer, clock, programmed, flash, content } = bench(3 * chunk, true);
  const image = [bytesOf(1), bytesOf(2), bytesOf(3)];
  image.forEach((bytes, i) => {
    const reused = new Uint8Array(bytes);
    writer.write(reused, i * chunk);
    // The caller's buffer is the caller's again, though nothing may be written yet.
    reused.fill(0xaa);
  });
  assert.is(clock.now, 0);
  assert.is(flash!.waitedMilliseconds, 0);
  assert.equal(programmed, []);
  const each = programChunk + eraseChunk;
  for (let i = 1; i <= 3; i++) {
    clock.advanceTo(i * each + 0.001);
    assert.equal(programmed, [chunk, 2 * chunk, 3 * chunk].slice(0, i));
  }
  assert.ok(writer.idle);
  assert.equal(content(3 * chunk), new Uint8Array(Buffer.concat(image)));
});

test('preparing erases before the first bytes come, so that they are written at once', () => {
  const { writer, clock, programmed } = bench(4 * chunk, true);
  writer.prepare();
  writer.prepare();
  clock.advanceTo(2 * eraseChunk);
  writer.write(bytesOf(1), 0);
  clock.advanceTo(2 * eraseChunk + programChunk + nor4KiB.eraseBlock);
  assert.equal(programmed, [chunk]);
});

test('while nothing is queued it erases ahead: to its bound, and never past the image', () => {
  const long = bench(4 * maxEraseAheadBytes, true);
  long.writer.prepare();
  long.clock.advanceTo(60_000);
  const erased = (operations: readonly string[]) => Number(operations.at(-1)!.split('-')[1]) + 1;
  assert.is(erased(long.operations) * blockLength, maxEraseAheadBytes);
  const short = bench(3 * chunk + 1, true);
  short.writer.prepare();
  short.clock.advanceTo(60_000);
  assert.is(erased(short.operations), 13);
});

test('what is queued goes before erasing ahead', () => {
  const { writer, clock, operations } = bench(10 * chunk, true);
  writer.prepare();
  writer.write(bytesOf(1), 0);
  clock.advanceTo(eraseChunk + programChunk + 1);
  assert.equal(operations, ['erase 0-3', 'write 0']);
  clock.advanceTo(eraseChunk + programChunk + nor4KiB.eraseBlock + 1);
  assert.equal(operations.slice(2), ['erase 4-4']);
});

test('when the queue is full it says so, and one more write waits for the part', () => {
  const { writer, flash, clock } = bench(20 * chunk, true);
  writer.prepare();
  for (let i = 0; i < maxQueuedChunks; i++) {
    assert.ok(writer.hasRoom);
    writer.write(bytesOf(i), i * chunk);
  }
  assert.not.ok(writer.hasRoom);
  assert.is(flash!.waitedMilliseconds, 0);
  writer.write(bytesOf(9), maxQueuedChunks * chunk);
  assert.is(clock.now, eraseChunk);
  assert.is(flash!.waitedMilliseconds, eraseChunk);
});

test('synchronising waits for the queue and the part', () => {
  const { writer, clock, programmed, content } = bench(2 * chunk + 10, true);
  const image = [bytesOf(1), bytesOf(2), bytesOf(3, 10)];
  for (const [i, bytes] of image.entries()) writer.write(bytes, i * chunk);
  writer.sync();
  assert.ok(writer.idle);
  assert.equal(programmed, [chunk, 2 * chunk, 2 * chunk + 10]);
  assert.ok(clock.now >= 2 * (programChunk + eraseChunk));
  assert.equal(content(2 * chunk + 10), new Uint8Array(Buffer.concat(image)));
});

test('going on in the middle erases from there, and nothing before', () => {
  for (const timed of [false, true]) {
    const { writer, clock, operations } = bench(4 * chunk, timed, 2 * chunk);
    writer.prepare();
    writer.write(bytesOf(1), 2 * chunk);
    clock.advanceTo(60_000);
    assert.is(operations[0], 'erase 8-11');
    assert.ok(operations.every((one) => !/^erase [0-7]-/.test(one)));
  }
});

test('an image without further bytes erases nothing', () => {
  const { writer, operations } = bench(0, true);
  writer.prepare();
  writer.sync();
  assert.equal(operations, []);
});

test.run();
