/** docs/SPEC.md shows bytes; they must be the bytes that the code writes. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BootBlock } from '../../../agent/install/boot-block.ts';
import { InstallJournal } from '../../../agent/install/install-journal.ts';
import { createRig, crypto, openPartition, type Rig } from './rig.ts';

const test = suite('docs/SPEC.md');
const specification = readFileSync('docs/SPEC.md', 'utf8');

function exampleOf(name: string): string {
  const after = specification.split(`<!-- example: ${name} -->`)[1] ?? '';
  return (after.split('```')[1] ?? '').replace(/\s/g, '');
}

function firstBytes(rig: Rig, name: string, count: number): string {
  const bytes = new Uint8Array(count);
  openPartition(rig, name).read(bytes, 0);
  return Buffer.from(bytes).toString('hex');
}

const filled = (count: number, value: number) => new Uint8Array(count).fill(value);
const image = { filename: 'agent-1', releaseCounter: 1, length: 3000, sha256: filled(32, 0xa1) };

test("the boot block's example is what the factory writes", () => {
  const rig = createRig({ slotBlocks: 1 });
  BootBlock.initialise(openPartition(rig, 'state'), crypto, image);
  const expected = exampleOf('state');
  assert.ok(expected.length > 100);
  assert.is(firstBytes(rig, 'state', expected.length / 2), expected);
});

test("the journal's example is what an installation writes", () => {
  const rig = createRig({ slotBlocks: 1 });
  const journal = new InstallJournal(openPartition(rig, 'journal'), crypto);
  journal.keepConfirmed({ slot: 0, counter: 1, image });
  journal.writeWithChunk({
    slot: 1,
    ciphertextLength: 17_088,
    ciphertextSha256: filled(32, 0xc1),
    plaintextLength: 17_000,
    plaintextSha256: filled(32, 0xb2),
    chunks: 1,
    header: filled(56, 0x5e),
    lastChunkCheck: filled(8, 0xc5),
  });
  const expected = exampleOf('journal');
  assert.ok(expected.length > 100);
  const before = 92;
  const written = firstBytes(rig, 'journal', before + expected.length / 2);
  assert.is(written.slice(2 * before), expected);
});

test.run();
