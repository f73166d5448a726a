/** The sample workflow of docs/ci.md, command by command, in a repository of a user's own. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DemoReport } from '../../backend/fleet/demo-report.ts';

const test = suite("a user's continuous integration");

/** The emulated board with erase blocks and identifiers of its own, and fixed partitions. */
function writeBoard(path: string): void {
  const board = JSON.parse(readFileSync('boards/emulated/board.json', 'utf8'));
  board.name = 'my-board';
  board.flash.blockLength = 8_192;
  board.flash.writeAlign = 8;
  for (const partition of board.flash.partitions) delete partition.grows;
  board.can.extended = true;
  board.can.ecus[0] = { name: 'full', requestId: 0x18da_10f1, responseId: 0x18da_f110 };
  board.can.ecus[1] = { name: 'partial', requestId: 0x18da_20f1, responseId: 0x18da_f120 };
  writeFileSync(path, JSON.stringify(board));
}

const environment = {
  ...process.env,
  ...{
    MAKEFLAGS: '',
    DIRECTOR_PORT: '0',
    IMAGES_PORT: '0',
    OPERATOR_PORT: '0',
    DOORBELL_PORT: '0',
  },
  ATTACK: '',
  ...{ CAN_LOG: '', CAN_SOCKETCAND: '', CAN_SLCAN: '', CAN_FAULTS: '', HOSTED_SELF_TEST: '' },
};

test('its commands check the board and install the firmware', () => {
  const repository = mkdtempSync(join(tmpdir(), 'ota-user-'));
  try {
    symlinkSync(resolve('.'), join(repository, 'ota'));
    writeBoard(join(repository, 'board.json'));
    const firmware = randomBytes(20_000);
    writeFileSync(join(repository, 'firmware.bin'), firmware);
    const workflow = readFileSync('docs/ci-workflow.yml', 'utf8');
    const commands = [...workflow.matchAll(/^ +- run: (.*)$/gm)].map(([, command]) => command!);
    assert.is(commands.length, 2);
    for (const command of commands) {
      const options = { cwd: repository, env: environment, encoding: 'utf8' } as const;
      execFileSync('sh', ['-ec', command], options);
    }
    const path = join(repository, 'demo/report.json');
    const report = JSON.parse(readFileSync(path, 'utf8')) as DemoReport;
    assert.is(report.result, 'installed');
    const hosted = report.ecus.find((ecu) => ecu.hostedBy === 'full')!;
    assert.is(hosted.length, firmware.length);
  } finally {
    rmSync(repository, { recursive: true, force: true });
  }
});

test('firmware that does not fit the partition of the board, and a wrong board, end with 2', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ota-user-'));
  try {
    const [board, firmware] = [join(folder, 'board.json'), join(folder, 'firmware.bin')];
    writeBoard(board);
    writeFileSync(firmware, new Uint8Array(65_537));
    const demo = () =>
      spawnSync(process.execPath, ['backend/fleet/demo.ts'], {
        env: {
          ...environment,
          BOARD: board,
          FIRMWARE: firmware,
          DEMO_FOLDER: join(folder, 'demo'),
        },
        encoding: 'utf8',
      });
    const large = demo();
    assert.is(large.status, 2);
    assert.match(large.stderr, "65537 bytes, the board's hosted-a has 65536");
    writeFileSync(board, '{ "name": "Mine" }');
    const wrong = demo();
    assert.is(wrong.status, 2);
    for (const place of ['  name: ', '  engine: ', '  flash: ', '  can: ', '  memory: ']) {
      assert.match(wrong.stderr, place);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
