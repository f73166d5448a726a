/** A UDS server on its links, in virtual time: waiting for a device, S3, several testers. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sessionParameters } from '../../../agent/can/uds.ts';
import type { UdsHandlers } from '../../../agent/can/uds-handlers.ts';
import { UdsServer } from '../../../agent/can/uds-server.ts';
import { UdsServerLink } from '../../../agent/can/uds-server-link.ts';
import {
  udsP2Milliseconds,
  udsP2StarMilliseconds,
  udsSessionTimeoutMilliseconds,
} from '../../../agent/limits.ts';
import { bytesOf, frame, hex } from './virtual-wire.ts';

const test = suite('UDS server link');
const half = udsP2Milliseconds / 2;

/** A server with one link for each tester; the tests ask and answer by hand. */
function bench(changes: Partial<UdsHandlers> = {}, testers = 1) {
  const device = { ready: false };
  const sessions: number[] = [];
  const server = new UdsServer({
    diagnosticSessionControl: () => sessionParameters(),
    sessionChanged: (session) => sessions.push(session),
    readDataByIdentifier: () => bytesOf('41'),
    routineControl: () => ({ ready: () => device.ready, pending: () => bytesOf('99') }),
    ...changes,
  });
  const links = Array.from({ length: testers }, (_, tester) => {
    const ids = { receiveId: 0x700 + 2 * tester, transmitId: 0x701 + 2 * tester, extended: false };
    const bounds = { flexibleData: true, maxMessageBytes: 4_096 };
    return new UdsServerLink({ ...ids, ...bounds, server, tester });
  });
  return {
    device,
    server,
    sessions,
    links,
    ask(now: number, request: string, tester = 0) {
      const bytes = bytesOf(request);
      const data = Uint8Array.of(bytes.length, ...bytes);
      links[tester]!.receive(frame(0x700 + 2 * tester, data), now);
    },
    /** Single frames that go out at `now`. */
    answers(now: number, tester = 0): string[] {
      const frames = links[tester]!.poll(now, 8);
      return frames.map(({ data }) => hex(data.subarray(1, 1 + data[0]!)));
    },
  };
}

test('a device that is ready in time: the answer comes then, and nothing before it', () => {
  const b = bench();
  b.ask(0, '3101ff00');
  for (let now = 0; now < half; now += 50) assert.equal(b.answers(now), []);
  assert.ok(b.links[0]!.nextDeadline()! <= half, 'it is looked at again');
  b.device.ready = true;
  assert.equal(b.answers(half - 1), ['7101ff0099']);
});

test('a device that takes long: 0x78 after half of P2, then after every half of P2*', () => {
  const b = bench();
  b.ask(0, '3101ff00');
  assert.equal(b.answers(half - 1), []);
  assert.equal(b.answers(half), ['7f3178']);
  const again = half + udsP2StarMilliseconds / 2;
  assert.equal(b.answers(again - 1), []);
  assert.equal(b.answers(again), ['7f3178']);
  b.device.ready = true;
  assert.equal(b.answers(again + 10), ['7101ff0099']);
  assert.equal(b.answers(again + 20), []);
});

test('a device that is ready at once costs nothing', () => {
  const b = bench();
  b.device.ready = true;
  b.ask(0, '3101ff00');
  assert.equal(b.answers(0), ['7101ff0099']);
});

test('while a device is waited for, short requests are told to repeat and long ones to wait', () => {
  const b = bench();
  b.ask(0, '3101ff00');
  b.answers(0);
  b.ask(1, '22f190');
  assert.equal(b.answers(1), ['7f2221']);
  const data = Uint8Array.of(0x10, 100, ...new Uint8Array(62));
  b.links[0]!.receive(frame(0x700, data, { flexibleData: true }), 2);
  const [flowControl] = b.links[0]!.poll(2, 8);
  assert.is(hex(flowControl!.data.subarray(0, 3)), '310000');
  b.device.ready = true;
  const out = b.links[0]!.poll(3, 8).map(({ data }) => hex(data.subarray(0, 6)));
  assert.equal(out, ['300000cccccc', '057101ff0099']);
});

test('S3: the session ends after 5 s without a request, by itself', () => {
  const b = bench();
  b.ask(0, '1002');
  assert.equal(b.answers(0), ['500203e80bb8']);
  const end = b.links[0]!.nextDeadline()!;
  assert.is(end, udsSessionTimeoutMilliseconds);
  b.answers(end - 1);
  assert.equal(b.sessions, [2]);
  b.answers(end);
  assert.equal(b.sessions, [2, 1]);
  assert.is(b.links[0]!.nextDeadline(), undefined);
});

test('S3 stands still while work is pending and while a message is on its way', () => {
  const b = bench();
  b.ask(0, '1002');
  b.answers(0);
  b.ask(10, '3101ff00');
  let now = 10;
  for (; now < 3 * udsSessionTimeoutMilliseconds; now += 100) b.answers(now);
  assert.equal(b.sessions, [2]);
  b.device.ready = true;
  b.answers(now);
  const data = Uint8Array.of(0x10, 200, ...new Uint8Array(62));
  b.links[0]!.receive(frame(0x700, data, { flexibleData: true }), now);
  b.answers(now);
  for (let i = 0; i < 2; i++) {
    now += 900;
    const next = Uint8Array.of(0x21 + i, ...new Uint8Array(63));
    b.links[0]!.receive(frame(0x700, next, { flexibleData: true }), now);
    b.answers(now);
  }
  assert.equal(b.sessions, [2]);
  b.answers(now + udsSessionTimeoutMilliseconds + 1_000);
  b.answers(now + 2 * udsSessionTimeoutMilliseconds + 1_000);
  assert.equal(b.sessions, [2, 1]);
});

test('two testers: the second is answered 0x21 at its own address, the first is not disturbed', () => {
  const b = bench({}, 2);
  b.ask(0, '1002', 0);
  assert.equal(b.answers(0, 0), ['500203e80bb8']);
  b.ask(1, '1002', 1);
  b.ask(1, '22f190', 0);
  assert.equal(b.answers(1, 1), ['7f1021']);
  assert.equal(b.answers(1, 0), ['62f19041']);
  assert.equal(b.sessions, [2]);
});

test('two testers: after S3 of the first the second has its turn', () => {
  const b = bench({}, 2);
  b.ask(0, '1002', 0);
  b.answers(0, 0);
  b.ask(udsSessionTimeoutMilliseconds, '1002', 1);
  assert.equal(b.answers(udsSessionTimeoutMilliseconds, 1), ['500203e80bb8']);
  assert.equal(b.sessions, [2, 1, 2]);
});

test.run();
