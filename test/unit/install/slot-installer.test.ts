import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { SlotInstaller } from '../../../agent/install/slot-installer.ts';
import type { FlashPartition, SlotImage } from '../../../hal/types.ts';
import {
  createRig,
  crypto,
  hostedPair,
  makeImage,
  manufacture,
  openBoot,
  openInstaller,
  openPartition,
  type Rig,
  slotBytes,
  type TestImage,
} from './rig.ts';

const test = suite('slot installer');
const chunk = 16400;
const oldImage = makeImage('agent-1', 3_000, 1);
const newImage = makeImage('agent-2', 300_001, 2);
const slotBlocks = 80;

function factory(options: Partial<Parameters<typeof createRig>[0]> = {}): Rig {
  const rig = createRig({ slotBlocks, ...options });
  manufacture(rig, oldImage);
  return rig;
}

/** Sends the ciphertext from where `begin` wants it, up to `end`; returns that place. */
function transfer(
  installer: SlotInstaller,
  { request, ciphertext }: TestImage,
  { pieceBytes = 4093, end = ciphertext.length } = {},
): number {
  const begun = installer.begin(request);
  if (isRefusal(begun)) throw new Error(begun.refused);
  for (let i = begun.resumeOffset; i < end; i += pieceBytes) {
    const refused = installer.write(ciphertext.subarray(i, Math.min(i + pieceBytes, end)));
    if (refused !== undefined) throw new Error(refused.refused);
  }
  return begun.resumeOffset;
}

function codeOf(result: Refusal | object | undefined): string | undefined {
  return isRefusal(result) ? result.refused : undefined;
}

function holds(rig: Rig, slot: number, image: TestImage): boolean {
  const found = slotBytes(rig, slot).subarray(0, image.plaintext.length);
  return Buffer.compare(found, image.plaintext) === 0;
}

test('an image is installed into the inactive slot; the active one stays as it was', () => {
  const rig = factory();
  const active = slotBytes(rig, 0);
  const boot = openBoot(rig, 0);
  const installer = openInstaller(rig, boot);
  assert.is(transfer(installer, newImage), 0);
  const image = installer.finish();
  assert.equal(image, newImage.image);
  assert.is(boot.status().pending, undefined);
  assert.is(installer.activate(image as SlotImage), undefined);
  assert.equal(boot.status().pending, 1);
  assert.equal(boot.status().attemptsRemaining, 1);
  assert.ok(holds(rig, 1, newImage));
  assert.equal(slotBytes(rig, 0), active);
});

test('units of 1 to 256 bytes and blocks of 4 to 128 KiB hold images of any length', () => {
  const geometries = [
    { blockLength: 4096, writeAlign: 1 },
    { blockLength: 4096, writeAlign: 4, eraseValue: 0 },
    { blockLength: 8192, writeAlign: 16 },
    { blockLength: 65_536, writeAlign: 256 },
    { blockLength: 131_072, writeAlign: 32 },
  ];
  for (const geometry of geometries) {
    for (const length of [0, 1, 16_383, 16_384, 16_385, 49_153, 131_072]) {
      const rig = factory({ geometry, slotBlocks: 131_072 / geometry.blockLength });
      rig.storage.bytes.fill(0x5a, rig.slotBytes, 2 * rig.slotBytes); // an older image
      const image = makeImage('any-length', length, 2);
      const installer = openInstaller(rig);
      transfer(installer, image, { pieceBytes: 20_011 });
      assert.equal(installer.finish(), image.image);
      assert.ok(holds(rig, 1, image));
    }
  }
});

test('HRD-04: a release below the counter is refused, the same release is not', () => {
  const rig = factory();
  const installer = openInstaller(rig);
  assert.is(codeOf(installer.begin(makeImage('old', 100, 0).request)), 'counter-rollback');
  assert.is(codeOf(installer.begin(makeImage('same', 100, 1).request)), undefined);
});

test('VIM-09: images that do not fit the slot, or whose lengths disagree, are refused at once', () => {
  const rig = factory({ slotBlocks: 4 });
  const installer = openInstaller(rig);
  const before = rig.storage.bytes.slice();
  assert.is(codeOf(installer.begin(makeImage('big', 16_385, 2).request)), 'slot-too-small');
  const { request } = makeImage('fits', 16_384, 2);
  const begin = (changes: object) => codeOf(installer.begin({ ...request, ...changes }));
  assert.is(begin({ plaintextLength: 16_383 }), 'image-plaintext-length');
  assert.is(begin({ ciphertextLength: 60 }), 'image-length');
  assert.is(begin({ ciphertextLength: 56 + 16_400 }), 'image-length');
  assert.equal(rig.storage.bytes, before);
  assert.is(begin({}), undefined);
});

test('calls out of order are refused', () => {
  const rig = factory();
  const boot = openBoot(rig, 0);
  const installer = openInstaller(rig, boot);
  assert.is(codeOf(installer.write(new Uint8Array(1))), 'install-out-of-order');
  assert.is(codeOf(installer.finish()), 'install-out-of-order');
  assert.is(codeOf(installer.activate(newImage.image)), 'install-out-of-order');
  transfer(installer, newImage);
  const image = installer.finish() as SlotImage;
  assert.is(codeOf(installer.activate({ ...image })), 'install-out-of-order');
  installer.activate(image);
  assert.is(codeOf(installer.activate(image)), 'install-out-of-order');
  const other = { ...newImage.request, releaseCounter: newImage.request.releaseCounter + 1 };
  assert.is(codeOf(installer.begin(other)), 'install-out-of-order');
  boot.selectSlot();
  assert.is(codeOf(installer.begin(newImage.request)), 'install-out-of-order');
  boot.rollback('self-test');
  // The given-up trial still runs in slot 1.
  assert.is(codeOf(installer.begin(newImage.request)), 'install-out-of-order');
  assert.is(codeOf(openInstaller(rig, openBoot(rig)).begin(newImage.request)), undefined);
});

test('INS-12: an image that waits for its restart is checked again and stays activated', () => {
  const rig = factory();
  const first = openInstaller(rig, openBoot(rig, 0));
  transfer(first, newImage);
  first.activate(first.finish() as SlotImage, 2);
  // Whoever asked was interrupted before the restart, and begins again.
  const boot = openBoot(rig, 0);
  const installer = openInstaller(rig, boot);
  const { request } = newImage;
  assert.equal(installer.begin(request), { resumeOffset: request.ciphertextLength });
  const image = installer.finish() as SlotImage;
  assert.is(codeOf(installer.activate(image, 5)), undefined);
  const { pending, attemptsRemaining } = boot.status();
  assert.equal([pending, attemptsRemaining], [1, 2], 'no more trials than were granted');
  // HRD-15: what was checked then is not believed now.
  rig.storage.bytes[rig.slotBytes + 1_000]! ^= 1;
  installer.begin(request);
  assert.is(codeOf(installer.finish()), 'image-plaintext-hash');
});

test('HRD-15: a slot with a block that does not erase any more is refused, and nothing vouches for it', () => {
  for (const block of [0, 5, Math.ceil(newImage.plaintext.length / 4096) - 1]) {
    const rig = factory();
    rig.storage.bytes.fill(0x5a, rig.slotBytes, 2 * rig.slotBytes); // an older image
    rig.storage.powerOn([{ kind: 'stuck-block', block: rig.slotBytes / 4096 + block }]);
    const installer = openInstaller(rig);
    installer.begin(newImage.request);
    const written = codeOf(installer.write(newImage.ciphertext));
    assert.is(codeOf(installer.finish()), 'slot-corrupt');
    assert.ok(written === 'slot-corrupt' || block > 5);
    assert.is(rig.storage.fired, 1);
    const resumed = openInstaller(rig).begin(newImage.request) as { resumeOffset: number };
    const before = Math.floor((block * 4096) / 16_384);
    assert.ok(resumed.resumeOffset <= 56 + before * 16_400, 'goes on before the block');
  }
});

test('VIM-08: an image whose digest is not the signed one is never offered', () => {
  const rig = factory();
  const boot = openBoot(rig, 0);
  const installer = openInstaller(rig, boot);
  const request = { ...newImage.request, plaintextSha256: new Uint8Array(32) };
  transfer(installer, { ...newImage, request });
  assert.is(codeOf(installer.finish()), 'image-plaintext-hash');
  assert.is(codeOf(installer.activate(newImage.image)), 'install-out-of-order');
  assert.is(transfer(installer, { ...newImage, request }), 0, 'starts anew');
  assert.is(boot.status().pending, undefined);
});

test('VIM-08: what counts is what the flash holds, not what was sent to it', () => {
  const rig = factory();
  const installer = openInstaller(rig);
  transfer(installer, newImage);
  rig.storage.bytes[rig.slotBytes + 250_000]! ^= 4;
  assert.is(codeOf(installer.finish()), 'image-plaintext-hash');
  assert.is(transfer(installer, newImage), 0);
  assert.equal(installer.finish(), newImage.image);
});

test('VIM-09: a truncated stream is refused and goes on where it stopped', () => {
  const rig = factory();
  const installer = openInstaller(rig);
  transfer(installer, newImage, { end: newImage.ciphertext.length - 1 });
  assert.is(codeOf(installer.finish()), 'image-truncated');
  assert.is(transfer(installer, newImage), 56 + 18 * chunk);
  assert.equal(installer.finish(), newImage.image);
});

test('INS-09: bytes after the signed length are refused', () => {
  const installer = openInstaller(factory());
  transfer(installer, newImage);
  assert.is(codeOf(installer.write(new Uint8Array(1))), 'image-length');
  assert.is(codeOf(installer.finish()), 'image-length');
});

test('a tampered chunk stops the installation and costs that chunk only', () => {
  const rig = factory();
  const installer = openInstaller(rig);
  transfer(installer, newImage, { end: 56 + 5 * chunk });
  const bad = newImage.ciphertext.slice(56 + 5 * chunk, 56 + 6 * chunk);
  bad[77]! ^= 1;
  assert.is(codeOf(installer.write(bad)), 'image-chunk');
  assert.is(codeOf(installer.write(newImage.ciphertext.subarray(56 + 5 * chunk))), 'image-chunk');
  assert.is(codeOf(installer.finish()), 'image-chunk');
  assert.is(transfer(installer, newImage), 56 + 5 * chunk);
  assert.equal(installer.finish(), newImage.image);
});

test('after an orderly stop at any chunk the installation goes on there, in a new process', () => {
  const rig = factory();
  const { ciphertext } = newImage;
  let previous = 0;
  for (let end = 56 + chunk; end < ciphertext.length; end += chunk) {
    const installer = openInstaller(rig);
    assert.is(transfer(installer, newImage, { end: end + 1000 }), previous);
    installer.suspend();
    previous = end;
  }
  assert.is(previous, 56 + 18 * chunk);
  const installer = openInstaller(rig);
  transfer(installer, newImage);
  assert.equal(installer.finish(), newImage.image);
});

test('after a sudden stop at any chunk boundary no chunk is sent again, whatever the blocks', () => {
  const { ciphertext } = newImage;
  const large = { geometry: { blockLength: 65_536, writeAlign: 256 }, slotBlocks: 6 };
  const ends = [large, undefined].flatMap((options) =>
    Array.from({ length: Math.floor(ciphertext.length / chunk) }, (_, k) => ({
      options,
      end: 56 + k * chunk,
    })),
  );
  for (const { options, end } of ends) {
    const rig = factory(options);
    transfer(openInstaller(rig), newImage, { end });
    const installer = openInstaller(rig);
    const resumed = transfer(installer, newImage);
    assert.is(resumed, end === 56 ? 0 : end);
    assert.equal(installer.finish(), newImage.image);
  }
});

test('a chunk costs one synchronisation, for its bytes and its record', () => {
  const rig = factory();
  const installer = openInstaller(rig);
  installer.begin(newImage.request);
  const { syncs } = rig.storage;
  const chunks = Math.floor(newImage.plaintext.length / 16_384);
  installer.write(newImage.ciphertext.subarray(0, 56 + chunks * chunk));
  // Records that begin a block of the journal: the erasure and the seal are one more each.
  const blocks = 2;
  const made = rig.storage.syncs - syncs;
  assert.ok(made >= chunks && made <= chunks + 2 * blocks, `${made} for ${chunks} chunks`);
});

test('a record whose chunk is not there is believed up to the chunk before', () => {
  for (const blockLength of [4_096, 65_536]) {
    const rig = factory({ geometry: { blockLength }, slotBlocks: 6 * (65_536 / blockLength) });
    const installer = openInstaller(rig);
    installer.begin(newImage.request);
    installer.write(newImage.ciphertext.subarray(0, 56 + 6 * chunk));
    // The cut has kept the record, and of the sixth chunk the first pages alone.
    const end = rig.slotBytes + 6 * 16_384;
    rig.storage.bytes.fill(0xff, end - 8_192, end);
    const again = openInstaller(rig);
    assert.is(transfer(again, newImage), 56 + 5 * chunk, `${blockLength}`);
    assert.not.ok(isRefusal(again.finish()));
    assert.ok(holds(rig, 1, newImage));
  }
});

const local: TestImage = {
  ...newImage,
  request: { ...newImage.request, chunksPerRecord: 4 },
};

test('chunks from the own flash are recorded many at a time, by two synchronisations', () => {
  const rig = factory();
  const installer = openInstaller(rig);
  installer.begin(local.request);
  const { syncs } = rig.storage;
  installer.write(local.ciphertext.subarray(0, 56 + 18 * chunk));
  // Four records of four chunks; the first of a journal's block is sealed at once.
  const made = rig.storage.syncs - syncs;
  assert.ok(made >= 8 && made <= 12, `${made} for 18 chunks`);
  installer.write(local.ciphertext.subarray(56 + 18 * chunk));
  assert.equal(installer.finish(), local.image);
});

test('after a cut, chunks from the own flash go on at the last record, whatever the blocks', () => {
  for (const blockLength of [4_096, 65_536]) {
    for (const [chunks, resumed] of [
      [3, 0],
      [4, 4],
      [11, 8],
      [18, 16],
    ] as const) {
      const rig = factory({ geometry: { blockLength }, slotBlocks: 6 * (65_536 / blockLength) });
      transfer(openInstaller(rig), local, { end: 56 + chunks * chunk, pieceBytes: chunk });
      const again = openInstaller(rig);
      const from = resumed === 0 ? 0 : 56 + resumed * chunk;
      assert.is(transfer(again, local), from, `${blockLength}: ${chunks}`);
      assert.equal(again.finish(), local.image);
      assert.ok(holds(rig, 1, local));
    }
  }
});

test('a record counts chunks of which all but the last are durable before it', () => {
  const rig = factory();
  const order: string[] = [];
  const watched = (name: string): FlashPartition => {
    const partition = openPartition(rig, name);
    return {
      status: () => partition.status(),
      eraseBlock: (from, to) => partition.eraseBlock(from, to),
      read: (buffer, offset) => partition.read(buffer, offset),
      write(buffer, offset) {
        order.push(name);
        partition.write(buffer, offset);
      },
      isErased: (offset, length) => partition.isErased(offset, length),
      sync() {
        order.push('sync');
        partition.sync();
      },
      onReady: undefined,
      close: () => partition.close(),
    };
  };
  const installer = new SlotInstaller({
    slots: [watched('slot-a'), watched('slot-b')],
    boot: openBoot(rig),
    journal: watched('journal'),
    crypto,
  });
  installer.begin(local.request);
  installer.write(local.ciphertext.subarray(0, 56 + 4 * chunk));
  order.length = 0;
  installer.write(local.ciphertext.subarray(56 + 4 * chunk, 56 + 8 * chunk));
  const chunks = ['slot-b', 'slot-b', 'slot-b', 'slot-b'];
  // The seal of the record before comes with this one.
  assert.equal(order, [...chunks, 'sync', 'journal', 'journal', 'sync']);
});

test('large blocks: the last one of a slot has no spare one behind it, and begins anew', () => {
  const rig = factory({ geometry: { blockLength: 131_072, writeAlign: 256 }, slotBlocks: 3 });
  for (const [end, resumed] of [
    [13, 13],
    [18, 16],
  ] as const) {
    transfer(openInstaller(rig), newImage, { end: 56 + end * chunk });
    assert.equal(openInstaller(rig).begin(newImage.request), {
      resumeOffset: 56 + resumed * chunk,
    });
  }
  const again = openInstaller(rig);
  assert.is(transfer(again, newImage), 56 + 16 * chunk);
  assert.equal(again.finish(), newImage.image);
});

test('INS-09: a complete image needs, and takes, no byte more after a restart', () => {
  const rig = factory();
  const installer = openInstaller(rig);
  transfer(installer, newImage);
  installer.finish();
  const again = openInstaller(rig);
  assert.is(transfer(again, newImage), newImage.ciphertext.length);
  assert.is(again.write(new Uint8Array(0)), undefined);
  assert.is(codeOf(again.write(new Uint8Array(1))), 'image-length');
  assert.equal(again.finish(), newImage.image);
});

test('progress with other bytes, another key or into another slot is forgotten', () => {
  const end = 56 + 17 * chunk;
  const other = makeImage('agent-3', 300_001, 3);
  const rekeyed = { ...newImage, request: { ...newImage.request, context: other.request.context } };
  for (const next of [other, rekeyed]) {
    const rig = factory();
    const stopped = openInstaller(rig);
    transfer(stopped, newImage, { end });
    const begun = openInstaller(rig).begin(next.request);
    assert.equal(begun, { resumeOffset: 0 });
    assert.equal(openInstaller(rig).begin(newImage.request), { resumeOffset: 0 });
  }
  const rig = factory();
  const boot = openBoot(rig, 0);
  transfer(openInstaller(rig, boot), newImage, { end });
  boot.activate(1, newImage.image, 1);
  boot.selectSlot();
  boot.confirm();
  assert.equal(openInstaller(rig, boot).begin(newImage.request), { resumeOffset: 0 });
});

test('two slot pairs on one part are installed at the same time, independently', () => {
  const own = factory();
  const hosted = hostedPair(own);
  const firmware = makeImage('firmware', 50_000, 9);
  manufacture(hosted, makeImage('firmware', 20_000, 8));
  const first = openInstaller(own);
  const second = openInstaller(hosted);
  transfer(first, newImage, { end: 100_000 });
  transfer(second, firmware);
  assert.is(first.write(newImage.ciphertext.subarray(100_000)), undefined);
  const image = second.finish();
  assert.equal(image, firmware.image);
  second.activate(image as SlotImage);
  assert.equal(first.finish(), newImage.image);
  assert.ok(holds(own, 0, oldImage) && holds(own, 1, newImage) && holds(hosted, 1, firmware));
  assert.is(openBoot(own).status().pending, undefined);
  assert.equal([openBoot(hosted).status().pending, openBoot(hosted).status().counter], [1, 8]);
});

test.run();
