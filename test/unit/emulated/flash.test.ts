import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEmulatedFlash } from '../../../hal/emulated/flash.ts';

const test = suite('emulated NOR flash');
const map = { first: { offset: 0, size: 8192 }, second: { offset: 8192, size: 16384 } };
let folder = '';
let path = '';
test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'flash-'));
  path = join(folder, 'deep', 'part.bin');
});
test.after.each(() => rmSync(folder, { recursive: true }));

function readAll(flash: ReturnType<typeof createEmulatedFlash>, name: string): Uint8Array {
  const partition = flash.open({ path: name });
  const bytes = new Uint8Array(partition.status().size);
  partition.read(bytes, 0);
  partition.close();
  return bytes;
}

test('a missing file is created erased and of the size of the flash map', () => {
  const flash = createEmulatedFlash(path, map);
  assert.is(statSync(path).size, 24576);
  assert.ok(readFileSync(path).every((byte) => byte === 0xff));
  assert.equal(flash.open({ path: 'second' }).status(), {
    size: 16384,
    blocks: 4,
    blockLength: 4096,
    writeAlign: 4,
    eraseValue: 0xff,
    busy: false,
  });
});

test('what was written reads back, lies in its partition alone and survives reopening', () => {
  createEmulatedFlash(path, map)
    .open({ path: 'second' })
    .write(Uint8Array.of(1, 2, 3, 4), 8);
  const flash = createEmulatedFlash(path, map);
  assert.equal(
    readAll(flash, 'second').subarray(4, 16),
    Uint8Array.from([255, 255, 255, 255, 1, 2, 3, 4, 255, 255, 255, 255]),
  );
  assert.ok(readAll(flash, 'first').every((byte) => byte === 0xff));
  assert.equal([...readFileSync(path).subarray(8200, 8204)], [1, 2, 3, 4]);
});

test('programming clears bits and refuses to set them, changing nothing', () => {
  const partition = createEmulatedFlash(path, map).open({ path: 'first' });
  partition.write(Uint8Array.of(0xf0, 0xff, 0xff, 0xff), 0);
  partition.write(Uint8Array.of(0x30, 0xff, 0xff, 0xff), 0);
  assert.throws(
    () => partition.write(Uint8Array.of(0x31, 0x00, 0x00, 0x00), 0),
    /first: 0x30 at 0 cannot become 0x31 without erasing/,
  );
  partition.write(new Uint8Array(4), 8);
  assert.throws(() => partition.write(new Uint8Array(8).fill(1), 4), /0x00 at 8/);
  const bytes = new Uint8Array(8);
  partition.read(bytes, 0);
  assert.equal([...bytes], [0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
});

test('erasing works on whole blocks, with an exclusive end', () => {
  const flash = createEmulatedFlash(path, map);
  const partition = flash.open({ path: 'second' });
  partition.write(new Uint8Array(16384), 0);
  partition.eraseBlock(1);
  partition.eraseBlock(2, 3);
  const bytes = readAll(flash, 'second');
  assert.ok(bytes.every((byte, i) => byte === (i >= 4096 && i < 12288 ? 0xff : 0)));
});

test('unaligned and outlying accesses are refused', () => {
  const partition = createEmulatedFlash(path, map).open({ path: 'first' });
  const four = new Uint8Array(4);
  assert.throws(() => partition.write(four, 2), /units of 4/);
  assert.throws(() => partition.write(new Uint8Array(3), 0), /units of 4/);
  assert.throws(() => partition.write(four, 8192), /leave its 8192 bytes/);
  assert.throws(() => partition.write(four, 8188.5), /leave/);
  assert.throws(() => partition.read(four, 8190), /leave/);
  assert.throws(() => partition.read(four, -1), /leave/);
  assert.throws(() => partition.eraseBlock(2), /leave/);
  assert.throws(() => partition.eraseBlock(1, 1), /no range/);
  assert.throws(() => partition.eraseBlock(0.5), /no range/);
  partition.write(four, 8188);
});

test('a closed partition refuses every call but close', () => {
  const partition = createEmulatedFlash(path, map).open({ path: 'first' });
  partition.close();
  partition.close();
  assert.throws(() => partition.read(new Uint8Array(1), 0), /closed/);
  assert.throws(() => partition.sync(), /closed/);
});

test('a file of another size and an unknown partition are refused', () => {
  const flash = createEmulatedFlash(path, map);
  assert.throws(() => flash.open({ path: 'third' }), /no partition is named third/);
  assert.throws(() => flash.open({ path: 'toString' }), /no partition/);
  truncateSync(path, 4096);
  assert.throws(() => createEmulatedFlash(path, map), /has 4096 bytes, its flash map needs 24576/);
  writeFileSync(path, new Uint8Array(24577));
  assert.throws(() => createEmulatedFlash(path, map), /24577/);
});

test('flash maps that no part could have are refused', () => {
  const create = (broken: Parameters<typeof createEmulatedFlash>[1]) => () =>
    createEmulatedFlash(path, broken);
  assert.throws(create({ a: { offset: 100, size: 4096 } }), /offset 100 is not at a block/);
  assert.throws(create({ a: { offset: 0, size: 4000 } }), /size 4000 is not whole blocks/);
  assert.throws(create({ a: { offset: 0, size: 0 } }), /whole blocks/);
  assert.throws(
    create({ a: { offset: 0, size: 8192 }, b: { offset: 4096, size: 4096 } }),
    /b overlaps/,
  );
  assert.throws(create({}), /no partition/);
  const geometry = { blockLength: 100, writeAlign: 16 };
  assert.throws(() => createEmulatedFlash(path, map, geometry), /units of 16/);
});

test('other geometries keep their own rules', () => {
  const geometry = { blockLength: 8192, writeAlign: 1, eraseValue: 0 };
  const partition = createEmulatedFlash(path, map, geometry).open({ path: 'second' });
  assert.is(partition.status().blocks, 2);
  partition.write(Uint8Array.of(0x0f), 1);
  partition.write(Uint8Array.of(0xff), 1);
  assert.throws(() => partition.write(Uint8Array.of(0x7f), 1), /cannot become/);
  partition.eraseBlock(0);
  const bytes = new Uint8Array(2);
  partition.read(bytes, 0);
  assert.equal([...bytes], [0, 0]);
});

test('a slot of 64 MiB is erased, written and read back true', () => {
  const size = 67_108_864;
  const flash = createEmulatedFlash(path, { slot: { offset: 0, size } });
  const slot = flash.open({ path: 'slot' });
  const chunk = new Uint8Array(16384).map((_, i) => i % 251);
  slot.eraseBlock(0, size / 4096);
  for (let offset = 0; offset < size; offset += chunk.length) slot.write(chunk, offset);
  const found = new Uint8Array(16384);
  slot.read(found, size - 16384);
  assert.equal(found, chunk);
  slot.eraseBlock(0, size / 4096);
  slot.read(found, size - 16384);
  assert.ok(found.every((byte) => byte === 0xff));
});

test.run();
