/** Board descriptions: the emulated one loads, and every mistake of a bad one is named. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { boardNames, findBoard } from '../../../boards/find.ts';
import { type Board, BoardError, checkBoard, flashMapOf, loadBoard } from '../../../boards/load.ts';
import { architectureOf, machineArchitecture, programPath } from '../../../boards/programs.ts';
import { ecuPaths, ecuUnit } from '../../../boards/systemd/units.ts';
import { flashMapSize, norGeometry } from '../../../hal/emulated/flash.ts';

const test = suite('board description');
const path = 'boards/emulated/board.json';

/** Mistakes in a board, the emulated one, after `change`. */
// biome-ignore lint/suspicious/noExplicitAny: the change may make it anything
function mistakes(change: (board: any) => void, of = path): readonly string[] {
  const board = JSON.parse(readFileSync(of, 'utf8'));
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
    ['memory.heapBytes.primary:', (board) => (board.memory.heapBytes.primary = 0)],
    ['memory.udsBlockBytes: expected', (board) => (board.memory.udsBlockBytes = 61)],
    ['memory.udsBlockBytes: expected', (board) => (board.memory.udsBlockBytes = 16_403)],
    ['engine.runtime: expected node or quickjs', (board) => (board.engine.runtime = 'deno')],
    ['engine.crypto: expected node or noble', (board) => (board.engine.crypto = 'bearssl')],
    ['engine.architectures: only', (board) => (board.engine.architectures = ['x86_64'])],
    ['can.bitRate: the emulated bus', (board) => (board.can.bitRate = 500_000)],
    ['can.port: longer', (board) => (board.can.port = 'a-name-of-17-chars')],
    ["can.ecus: 'partial' is missing", (board) => board.can.ecus.pop()],
    // Its tester identifier is that of the other ECU.
    ['is used twice', (board) => (board.can.ecus[1].requestId = 2_016 - 0x100)],
    ['flash.partitions[2].grows:', (board) => (board.flash.partitions[2].grows = 'yes')],
    ['flash.partitions[4].name: expected', (board) => (board.flash.partitions[4].name = 'spare')],
    ['engine: expected an object', (board) => (board.engine = [])],
    [
      "'runtime-…' only for the runtime quickjs",
      (board) => board.flash.partitions.push({ name: 'runtime-a', length: 4_096 }),
    ],
  ];
  for (const [expected, change] of cases) {
    const found = mistakes(change);
    assert.ok(
      found.some((one) => one.includes(expected)),
      `${expected} in ${JSON.stringify(found)}`,
    );
  }
});

test('a board with native programs says for which processors, with which crypto, at which rates', () => {
  const native = 'boards/quickjs/board.json';
  const cases: readonly (readonly [string, Parameters<typeof mistakes>[0]])[] = [
    ['engine.architectures: expected a list', (board) => (board.engine.architectures = [])],
    ['engine.architectures[0]: expected', (board) => (board.engine.architectures = ['riscv64'])],
    ['engine.crypto: openssl is built', (board) => (board.engine.crypto = 'openssl')],
    ['can.bitRate: expected', (board) => (board.can.bitRate = 2_000_000)],
    ['can.dataBitRate: expected', (board) => delete board.can.dataBitRate],
    ['can.dataBitRate: expected', (board) => (board.can.dataBitRate = 250_000)],
    ['can.dataBitRate: only with', (board) => (board.can.flexibleData = false)],
    ["'runtime-b' is missing", (board) => board.flash.partitions.pop()],
  ];
  assert.equal(
    mistakes(() => undefined, native),
    [],
  );
  for (const [expected, change] of cases) {
    const found = mistakes(change, native);
    assert.is(found.length, 1, JSON.stringify(found));
    assert.ok(found[0]!.includes(expected), `${expected} in ${found[0]}`);
  }
});

test('a loader of the machine as boot control says what it starts and how it is told', () => {
  const native = 'boards/quickjs/board.json';
  const files = ['/boot/a/system.img', '/boot/b/system.img'];
  const environment = [
    { path: '/dev/mmcblk0', offset: 4_194_304 },
    { path: '/dev/mmcblk0', offset: 4_210_688 },
  ];
  const uBoot = { control: 'u-boot', files, environment, size: 16_384 };
  const tryboot = { control: 'tryboot', files, autoboot: '/boot/autoboot.txt', partitions: [2, 3] };
  for (const boot of [uBoot, tryboot, { control: 'file' }]) {
    assert.equal(
      mistakes((board) => (board.boot = boot), native),
      [],
    );
  }
  const cases: readonly (readonly [string, object])[] = [
    ['boot.control: expected file or u-boot or tryboot', { ...uBoot, control: 'grub' }],
    ['boot.partitions: unknown field', { ...uBoot, partitions: [2, 3] }],
    ['boot.environment: expected a list of at least 2', { ...uBoot, environment: [] }],
    [
      'boot.environment[1].path: expected an absolute path',
      { ...uBoot, environment: [environment[0], { path: 'x', offset: 0 }] },
    ],
    ['boot.size: expected', { ...uBoot, size: 100 }],
    ['boot.files: expected two', { ...tryboot, files: [...files, '/c'] }],
    ['boot.partitions: 2 is used twice', { ...tryboot, partitions: [2, 2] }],
    ['boot.autoboot: expected', { ...tryboot, autoboot: 'autoboot.txt' }],
    ['boot.files: unknown field', { control: 'file', files }],
  ];
  for (const [expected, boot] of cases) {
    const found = mistakes((board) => (board.boot = boot), native);
    assert.ok(
      found.some((one) => one.includes(expected)),
      `${expected} in ${JSON.stringify(found)}`,
    );
  }
  const without = mistakes((board) => {
    board.boot = tryboot;
    board.flash.partitions.splice(-4);
  }, native);
  assert.match(without.join(), "starts what 'runtime-…' partitions hold: there are none");
});

test('the unit of a board with a loader may restart the machine, and reach what tells the loader', () => {
  const board = loadBoard('boards/raspberrypi/board.json');
  const paths = ecuPaths('primary', 'can0');
  const plain = ecuUnit('primary', board, paths, true);
  assert.match(plain, /^AmbientCapabilities=$/m);
  assert.not.match(plain, /OTA_REBOOT_MACHINE|@reboot/);
  const boot: Board['boot'] = {
    control: 'u-boot',
    files: ['/boot/a/system.img', '/boot/b/system.img'],
    environment: [
      { path: '/dev/mmcblk0', offset: 0 },
      { path: '/dev/mmcblk0', offset: 16_384 },
    ],
    size: 16_384,
    startedFrom: '/proc/cmdline',
  };
  const unit = ecuUnit('primary', { ...board, boot }, paths, true);
  for (const line of [
    'AmbientCapabilities=CAP_SYS_BOOT CAP_DAC_OVERRIDE',
    'SystemCallFilter=@reboot',
    'Environment=OTA_REBOOT_MACHINE=1',
    'ReadWritePaths=/boot/a /boot/b /dev/mmcblk0',
    'DeviceAllow=/dev/mmcblk0 rw',
  ]) {
    assert.ok(unit.split('\n').includes(line), `${line} in\n${unit}`);
  }
  assert.not.match(unit, /PrivateDevices=yes/);
});

test('every board of the folder is right and has the name of its folder', () => {
  assert.equal(boardNames(), ['emulated', 'quickjs', 'raspberrypi']);
  for (const name of boardNames()) assert.is(loadBoard(findBoard(name)).name, name);
});

test('a board is found by its name, its path or its folder, else the names are told', () => {
  assert.is(findBoard('quickjs'), resolve('boards/quickjs/board.json'));
  assert.is(findBoard('./boards/quickjs'), resolve('boards/quickjs/board.json'));
  assert.is(findBoard('boards/quickjs/board.json'), resolve('boards/quickjs/board.json'));
  assert.throws(() => findBoard('toaster'), /emulated, quickjs, raspberrypi, or a path/);
  assert.throws(() => loadBoard(findBoard('./toaster')), /no such file/);
});

test('the processor is the wanted one, else this machine’s, else the usual one of the board', () => {
  const quickjs = loadBoard(findBoard('quickjs'));
  const raspberryPi = loadBoard(findBoard('raspberrypi'));
  assert.is(architectureOf(quickjs, undefined), machineArchitecture);
  assert.is(architectureOf(quickjs, 'armhf'), 'armhf');
  assert.is(architectureOf(raspberryPi, ''), 'aarch64');
  assert.throws(() => architectureOf(raspberryPi, 'armhf'), /ARCH=armhf.*\n.*aarch64/);
});

test('crypto and processor choose the program', () => {
  const board = loadBoard(findBoard('quickjs'));
  const openssl: Board = { ...board, engine: { ...board.engine, crypto: 'openssl' } };
  assert.match(programPath(board, 'armhf', 'primary'), /out\/bin\/armhf\/ecu-primary$/);
  assert.match(programPath(openssl, 'x86_64', 'secondary'), /bin\/x86_64-openssl\/ecu-secondary$/);
});

test('make boards prints a line for each board, and every mistake of one that is wrong', () => {
  const table = (board: string) =>
    spawnSync(process.execPath, ['boards/table.ts'], {
      encoding: 'utf8',
      env: { ...process.env, BOARD: board },
    });
  const right = table('');
  assert.is(right.status, 0, right.stderr);
  assert.is(right.stdout.trimEnd().split('\n').length, 1 + boardNames().length);
  assert.match(right.stdout, /^raspberrypi +quickjs aarch64 +bearssl .* can0 FD 500000 2000000 /m);
  const folder = mkdtempSync(join(tmpdir(), 'board-'));
  writeFileSync(join(folder, 'board.json'), '{ "name": "mine", "engine": {} }');
  const wrong = table(folder);
  rmSync(folder, { recursive: true });
  assert.is(wrong.status, 2);
  for (const place of ['engine.runtime', 'flash', 'can', 'memory']) {
    assert.match(wrong.stderr, `  ${place}`);
  }
});

test('all mistakes come at once', () => {
  const found = mistakes((board) => {
    board.flash.eraseValue = 1;
    board.can.port = 'No Name';
    board.memory = null;
  });
  assert.is(found.length, 6, JSON.stringify(found));
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
