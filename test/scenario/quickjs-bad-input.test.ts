/**
 * Bad input to the programs of `make runtime`: each is told by its code, nothing is half done, and
 * the old image runs. The vehicle is one that a demonstration has updated.
 */
import { existsSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import { type Bus, startBus } from './can-bus.ts';
import { type DemoRun, runDemo } from './demo-run.ts';
import { NativeEcu } from './native-ecu.ts';

const test = suite('bad input on QuickJS-ng');

const program = 'out/bin/x86_64/ecu-secondary';
const withoutEntropy = 'out/native/without-entropy';

let demo: DemoRun;
let bus: Bus;
let ecu: NativeEcu;
/** With the bus that runs now. */
const onBus = () => ({ buses: { can0: bus.address } });
const ready = /^ready /m;

test.before(async () => {
  demo = await runDemo({ BOARD: 'quickjs', ARCH: 'x86_64' });
  assert.is(demo.status, 0, demo.output);
  bus = await startBus();
});
test.after(async () => {
  demo.remove();
  await bus.stop();
});
test.before.each(() => {
  ecu = new NativeEcu(join(demo.folder, 'vehicle'), 'full', program);
});
test.after.each(() => ecu.remove());

test('the ECU as it is starts the image of slot B', async () => {
  const { output } = await ecu.run({ description: onBus(), until: ready });
  assert.match(output, /^boot slot=B /m);
  assert.match(output, ready);
});

test('a flash file of another size: flash-unusable, and it stays as it is', async () => {
  const whole = readFileSync(ecu.flashFile);
  for (const length of [0, whole.length - 4_096, whole.length + 4_096]) {
    truncateSync(ecu.flashFile, length);
    const before = readFileSync(ecu.flashFile);
    const { status, output } = await ecu.run({ description: onBus() });
    assert.is(status, 1, output);
    assert.match(output, /^refused code=flash-unusable detail=.* its flash map needs \d+$/m);
    assert.ok(readFileSync(ecu.flashFile).equals(before));
  }
  ecu.changeFlash(() => whole);
  const { output } = await ecu.run({ description: onBus(), until: ready });
  assert.match(output, /^boot slot=B /m);
});

test('a folder in place of the flash part: flash-unusable', async () => {
  const { status, output } = await ecu.run({
    description: { ...onBus(), flashFile: ecu.folder },
  });
  assert.is(status, 1, output);
  assert.match(output, /^refused code=flash-unusable /m);
});

test('VER-02: a corrupt boot block: the confirmed image runs by its copy in the journal', async () => {
  ecu.changeFlash((bytes, map) => {
    const { offset, size } = map['state']!;
    return bytes.fill(0, offset, offset + size) as Buffer;
  });
  const { output } = await ecu.run({ description: onBus(), until: ready });
  assert.match(output, /^boot slot=B /m);
  assert.match(output, ready);
});

test('VER-02: boot block and journal lost: boot-block-corrupt, and nothing is started', async () => {
  ecu.changeFlash((bytes, map) => {
    for (const name of ['state', 'journal']) {
      const { offset, size } = map[name]!;
      bytes.fill(0, offset, offset + size);
    }
    return bytes;
  });
  const { status, output } = await ecu.run({ description: onBus() });
  assert.is(status, 70, output);
  assert.match(output, /^refused code=boot-block-corrupt /m);
});

test('bytecode of another version on trial: bytecode-version, the old image runs', async () => {
  const image = ecu.boot().status().slots[1]!;
  let sha256: Uint8Array = new Uint8Array(0);
  ecu.changeFlash((bytes, map) => {
    const [a, b] = [map['slot-a']!.offset, map['slot-b']!.offset];
    bytes.copy(bytes, a, b, b + image.length);
    // Its first byte is the version; what is signed as such passes every other check.
    bytes[a] = bytes[a]! + 1;
    sha256 = createNodeCrypto().digest('SHA-256', bytes.subarray(a, a + image.length));
    return bytes;
  });
  const releaseCounter = image.releaseCounter + 1;
  ecu.boot().activate(0, { ...image, filename: 'other.bin', releaseCounter, sha256 }, 3);
  const { output } = await ecu.run({ description: onBus(), until: ready });
  assert.match(output, /^refused code=bytecode-version /m);
  assert.match(output, /^boot slot=B /m);
  assert.match(output, /^rolled-back .*image=other.bin reason=image-damaged$/m);
});

test('a CAN interface that is missing: can-unavailable', async () => {
  for (const address of ['can:nosuch0', `unix:${ecu.folder}/nosuch`]) {
    const { status, output } = await ecu.run({ description: { buses: { can0: address } } });
    assert.is(status, 1, output);
    assert.match(output, /^refused code=can-unavailable detail=/m);
  }
});

test('no entropy: no-entropy, before anything is looked at', async () => {
  if (!existsSync(withoutEntropy)) {
    console.log('skipped: 1 make provider-hosts was not run: it needs packages');
    return;
  }
  const before = readFileSync(ecu.flashFile);
  const { status, output } = await ecu.run({ description: onBus(), wrapper: withoutEntropy });
  assert.is(status, 1, output);
  assert.match(output, /^refused code=no-entropy detail=/m);
  assert.ok(readFileSync(ecu.flashFile).equals(before));
});

test('no heap: heap-exhausted wherever it ends, the flash stays, and the next run reports it', async () => {
  const before = readFileSync(ecu.flashFile);
  let exhausted = 0;
  for (let heap = 98_304; ; heap += 32_768) {
    const { status, output } = await ecu.run({ heap, description: onBus(), until: ready });
    if (status === 'running') {
      assert.match(output, /^boot slot=B /m);
      break;
    }
    assert.is(status, 1, `heap of ${heap}: ${output}`);
    assert.match(output, /^refused code=heap-exhausted /m, `heap of ${heap}: ${output}`);
    exhausted++;
  }
  assert.ok(exhausted > 2, `${exhausted}`);
  assert.ok(readFileSync(ecu.flashFile).equals(before));
  const values = join(ecu.folder, 'key-value');
  assert.ok(readFileSync(join(values, 'detections.value')).includes('heap-exhausted'));
  assert.not(existsSync(join(values, 'failure.value')));
});

if (existsSync(program)) test.run();
else console.log('skipped: 9 make runtime was not run for x86_64: it needs packages');
