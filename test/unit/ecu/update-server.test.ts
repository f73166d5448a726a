/** What a Secondary's UDS services do with bytes that nobody should send. */
import './agent-release.ts';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { UdsServer } from '../../../agent/can/uds-server.ts';
import { dataIdentifiers, routines } from '../../../agent/metadata/vehicle-messages.ts';
import { slotBytes } from '../install/rig.ts';
import { EcuRig } from './ecu-rig.ts';
import { authenticate, serverOf } from './uds-tester.ts';

const test = suite('Update server');
const start = (identifier: number) => [0x31, 0x01, identifier >> 8, identifier & 0xff];

function answer(server: UdsServer, request: Uint8Array): Uint8Array | undefined {
  let reply = server.handle(request);
  while (reply.pending !== undefined) reply = reply.pending();
  return reply.response;
}

test('random bytes to every service are answered, and no slot changes', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  const before = [slotBytes(rig.rig, 0), slotBytes(rig.rig, 1)];
  const heads = [
    ...Object.values(routines).map(start),
    ...Object.values(dataIdentifiers).map((one) => [0x22, one >> 8, one & 0xff]),
    [0x34, 0x01],
    [0x36],
    [0x37],
    [0x38],
    [0x10],
    [0x29],
    [],
  ];
  const request = fc
    .tuple(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 300 }))
    .map(([head, rest]) => Uint8Array.from([...head, ...rest]));
  fc.assert(
    fc.property(request, (bytes) => {
      // What was sent may have ended the session: every other request comes from the Primary again.
      if (bytes.length % 2 === 0) authenticate(rig, server);
      const response = answer(server, bytes);
      assert.ok(response === undefined || response.length > 0);
    }),
    { numRuns: 3_000, seed: 7 },
  );
  assert.equal([slotBytes(rig.rig, 0), slotBytes(rig.rig, 1)], before);
});

test('a download that was not prepared is refused (0x22)', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  authenticate(rig, server);
  const request = Uint8Array.from([0x34, 0x01, 0x11, 0x00, 0x10]);
  assert.equal([...answer(server, request)!], [0x7f, 0x34, 0x22]);
});

test('an unknown routine and identifier are out of range (0x31)', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  authenticate(rig, server);
  assert.equal([...answer(server, Uint8Array.from(start(0xfdff)))!], [0x7f, 0x31, 0x31]);
  assert.equal([...answer(server, Uint8Array.of(0x22, 0xfd, 0xff))!], [0x7f, 0x22, 0x31]);
});

test.run();
