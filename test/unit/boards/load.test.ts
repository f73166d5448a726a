/** Board descriptions: the emulated one loads, and every mistake of a bad one is named. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BoardError, checkBoard, flashMapOf, loadBoard } from '../../../boards/load.ts';
import { flashMapSize, norGeometry } from '../../../hal/emulated/flash.ts';

const test = suite('board description');
const path = 'boards/emulated/board.json';

/** Mistakes in the emulated board after `change`. */
// biome-ignore lint/suspicious/noExplicitAny: the change may make it anything
function mistakes(change: (board: any) => void): readonly string[] {
  const board = JSON.parse(readFileSync(path, 'utf8'));
  change(board);
  try {
    checkBoard(board, path);
  } catch (error) {
    if (error instanceof BoardError) return error.mistakes;
    throw error;
  }
  return [];
}

test('the emulated board loads, and its flash map fits the emulated flash', () => {
  const board = loadBoard(path);
  const map = flashMapOf(board.flash);
  assert.is(flashMapSize(map, norGeometry), 3_342_336);
  assert.equal(map['slot-a'], { offset: 32_768, size: 524_288 });
});

test('lengths may be replaced, rounded up to blocks, and 0 leaves a partition out', () => {
  const { flash } = loadBoard(path);
  const map = flashMapOf(flash, { download: 0, 'hosted-a': 5_000, 'hosted-b': 5_000 });
  assert.is(map['download'], undefined);
  assert.equal(map['hosted-b'], { offset: 1_122_304, size: 8_192 });
  assert.throws(() => flashMapOf(flash, { absent: 1 }), /absent/);
});

test('each mistake is named with its place', () => {
  const cases: readonly (readonly [string, Parameters<typeof mistakes>[0]])[] = [
    ['name:', (board) => delete board.name],
    ['board.colour: unknown', (board) => (board.colour = 'red')],
    ['flash.blockLength:', (board) => (board.flash.blockLength = '4096')],
    ['flash.writeAlign: must divide', (board) => (board.flash.writeAlign = 3)],
    ['flash.eraseValue:', (board) => (board.flash.eraseValue = 1)],
    ['flash.partitions[2].length: 5000', (board) => (board.flash.partitions[2].length = 5_000)],
    ["'slot-b' is missing", (board) => board.flash.partitions.splice(3, 1)],
    ['"state" is used twice', (board) => (board.flash.partitions[4].name = 'state')],
    ["'state' needs", (board) => (board.flash.partitions[0].length = 4_096)],
    ['can.ecus[0].requestId:', (board) => (board.can.ecus[0].requestId = 0x800)],
    ['2016 is used twice', (board) => (board.can.ecus[1].requestId = 2_016)],
    ['can.flexibleData:', (board) => (board.can.flexibleData = 1)],
    ['memory.heapBytes:', (board) => (board.memory.heapBytes = 0)],
    ['engine: expected an object', (board) => (board.engine = [])],
  ];
  for (const [expected, change] of cases) {
    const found = mistakes(change);
    assert.ok(
      found.some((one) => one.includes(expected)),
      `${expected} in ${JSON.stringify(found)}`,
    );
  }
});

test('all mistakes come at once', () => {
  const found = mistakes((board) => {
    board.flash.eraseValue = 1;
    board.can.port = 'No Name';
    board.memory = null;
  });
  assert.is(found.length, 4, JSON.stringify(found));
});

test('a file that is no JSON, or is not there, is a board error', () => {
  assert.throws(
    () => loadBoard('boards/README.md'),
    (error: unknown) => error instanceof BoardError,
  );
  assert.throws(
    () => loadBoard('boards/absent.json'),
    (error: unknown) => error instanceof BoardError,
  );
});

test.run();
