/**
 * tshark as the decoder: it puts the frames of the bus's capture together to the UDS messages that
 * were sent, classic and FD, up to lengths that need the 32-bit first frame. Debian package: tshark.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LinkDriver } from '../../agent/can/link-driver.ts';
import { UdsClient } from '../../agent/can/uds-client.ts';
import { UdsServer } from '../../agent/can/uds-server.ts';
import { UdsServerLink } from '../../agent/can/uds-server-link.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { maxUdsMessageBytes } from '../../agent/limits.ts';
import { createEmulatedCan } from '../../hal/emulated/can.ts';
import { createNodeClock } from '../../hal/node/clock.ts';
import { joined, startBus } from './can-bus.ts';
import { hasProgram } from './can-python-peer.ts';

const test = suite('tshark');

/** Lengths of the answers, around the single frame and the two forms of the first frame. */
const answerBytes = [7, 8, 62, 63, 4_095, 4_096, 20_000];
/** What an answer has before its record: service and identifier. */
const headerBytes = 3;
/** An identifier that the server takes its time for, and one that it has not. */
const [slow, unknown] = [0x0101, 0x0102];

function recordOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 11 + (index >> 8) * 5 + length) % 256);
}

if (hasProgram('tshark', '--version')) {
  for (const flexibleData of [false, true]) {
    test(`decodes UDS over ISO-TP in ${flexibleData ? 'FD' : 'classic'} frames`, async () => {
      const bus = await startBus(undefined, '--log', 'FOLDER/bus');
      const link = { extended: false, flexibleData, maxMessageBytes: maxUdsMessageBytes };
      const drivers = [0, 1].map(
        () =>
          new LinkDriver({
            can: createEmulatedCan({ can0: bus.address }),
            clock: createNodeClock(),
            port: 'can0',
          }),
      );
      const server = new UdsServer({
        readDataByIdentifier: (identifier) => {
          if (identifier === unknown) return 0x31;
          if (identifier === slow) return { pending: () => recordOf(100) };
          return recordOf(answerBytes[identifier]! - headerBytes);
        },
      });
      drivers[0]!.add(new UdsServerLink({ ...link, transmitId: 0x7e8, receiveId: 0x7e0, server }));
      const client = new UdsClient({ ...link, transmitId: 0x7e0, receiveId: 0x7e8 });
      drivers[1]!.add(client);
      await Promise.all(drivers.map(joined));
      const read = (identifier: number) =>
        new Promise<Uint8Array | Refusal>((done) =>
          client.request(Uint8Array.of(0x22, identifier >> 8, identifier & 0xff), done),
        );
      for (const [identifier, length] of answerBytes.entries()) {
        const answer = await read(identifier);
        assert.is(isRefusal(answer) ? answer.detail : answer.length, length);
      }
      assert.not.ok(isRefusal(await read(slow)));
      assert.ok(isRefusal(await read(unknown)));
      for (const driver of drivers) driver.close();

      // A record is the same from tshark as from us; a request that was repeated is told twice.
      const rows = new Set(decode(join(bus.folder, 'bus.pcap')));
      for (const [identifier, length] of answerBytes.entries()) {
        const id = `0x${identifier.toString(16).padStart(4, '0')}`;
        const record = Buffer.from(recordOf(length - headerBytes)).toString('hex');
        assert.ok(rows.has(`2016 0x22 0x00 ${id}  `), `request of ${id}`);
        assert.ok(rows.has(`2024 0x22 0x01 ${id} ${record} `), `answer of ${length} bytes`);
      }
      assert.ok(rows.has('2024 0x3f 0x01   0x78'), 'response pending');
      assert.ok(rows.has('2024 0x3f 0x01   0x31'), 'request out of range');
      await bus.stop();
    });
  }
} else console.log('skipped: 2 package tshark is not installed');

/** Identifier, service, direction, data identifier, record and error code of each UDS message. */
function decode(capture: string): string[] {
  const columns = [
    ...['can.id', 'uds.sid', 'uds.reply', 'uds.rdbi.data_identifier', 'uds.rdbi.data_record'],
    'uds.err.code',
  ];
  const { stdout, status, stderr } = spawnSync(
    'tshark',
    [
      ...['-r', capture, '-d', 'can.subdissector,iso15765', '-d', 'iso15765.subdissector,uds'],
      ...['-Y', 'uds', '-T', 'fields', '-E', 'separator=/s'],
      ...columns.flatMap((column) => ['-e', column]),
    ],
    { encoding: 'utf8', maxBuffer: 16_777_216 },
  );
  assert.is(status, 0, stderr);
  return stdout.split('\n');
}

test.run();
