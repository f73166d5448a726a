/** Whether flash is erased: asked of the platform at once where it can tell, else byte by byte. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SlotWriter } from '../../../agent/install/slot-writer.ts';
import { norGeometry } from '../../../hal/ecu-description.ts';
import { NorPartition } from '../../../hal/nor-partition.ts';

const size = 65_536;

/** A part in memory; with `tells`, it answers for itself. */
function partition(tells: boolean) {
  const bytes = new Uint8Array(2 * size).fill(0xff);
  const asked: (readonly [number, number])[] = [];
  let reads = 0;
  const storage = {
    read(buffer: Uint8Array, offset: number) {
      reads += 1;
      buffer.set(bytes.subarray(offset, offset + buffer.length));
    },
    program: (given: Uint8Array, offset: number) => bytes.set(given, offset),
    // A worn-out block: it keeps what was in it.
    erase: () => undefined,
    sync: () => undefined,
    close: () => undefined,
    ...(tells && {
      isErased(offset: number, length: number, value: number) {
        asked.push([offset, length]);
        return bytes.subarray(offset, offset + length).every((byte) => byte === value);
      },
    }),
  };
  const region = { offset: size, size };
  const part = new NorPartition('slot-a', region, norGeometry, storage);
  return { part, bytes, asked, reads: () => reads };
}

function writeChunk(part: NorPartition): string | undefined {
  const writer = new SlotWriter({
    partition: part,
    start: 0,
    end: 16_384,
    onProgrammed: () => undefined,
  });
  writer.write(new Uint8Array(16_384).fill(7), 0);
  writer.sync();
  return writer.failure?.refused;
}

for (const tells of [true, false]) {
  test(`HRD-15: a block that is not erased is not written to (the part ${tells ? 'tells' : 'is read'})`, () => {
    const good = partition(tells);
    assert.is(writeChunk(good.part), undefined);
    assert.is(good.reads() === 0, tells);
    if (tells) assert.equal(good.asked, [[size, 16_384]]);
    const worn = partition(tells);
    worn.bytes[size + 16_383] = 0xfe;
    assert.is(writeChunk(worn.part), 'slot-corrupt');
  });
}

test('a question beyond the partition is a bug', () => {
  const { part } = partition(true);
  assert.throws(() => part.isErased!(size - 4, 8), /leave its 65536 bytes/);
});

test.run();
