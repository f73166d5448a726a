/** The driver between links and a CAN port: routing, back-pressure, timers, late programs. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LinkDriver } from '../../../agent/can/link-driver.ts';
import { UdsClient } from '../../../agent/can/uds-client.ts';
import { UdsServer } from '../../../agent/can/uds-server.ts';
import { UdsServerLink } from '../../../agent/can/uds-server-link.ts';
import type { Can, CanFrame, CanOptions } from '../../../hal/types.ts';
import { bytesOf, frame, hex, pattern, recordingLink, VirtualClock } from './virtual-wire.ts';

const test = suite('link driver');

/** A CAN port in the hands of the test. */
class ManualCan implements Can {
  readonly clock = new VirtualClock();
  readonly written: CanFrame[] = [];
  writable = 1_000;
  options: CanOptions | undefined;
  closed = 0;
  private readonly waiting: CanFrame[] = [];

  open(options: CanOptions) {
    this.options = options;
    const can = this;
    return {
      read: () => this.waiting.shift(),
      get writable() {
        return can.writable;
      },
      write: (sent: CanFrame) => {
        if (this.writable === 0) throw new Error('not writable');
        this.writable--;
        this.written.push(sent);
      },
      close: () => {
        this.closed++;
      },
    };
  }

  /** Puts frames into the port without telling its owner. */
  put(...frames: CanFrame[]): void {
    this.waiting.push(...frames);
  }

  deliver(...frames: CanFrame[]): void {
    this.put(...frames);
    this.options!.onReadable(this.waiting.length);
  }

  driver(changes = {}): LinkDriver {
    return new LinkDriver({ can: this, clock: this.clock, port: 'can0', ...changes });
  }
}

test('frames go to the link of their identifier, and 11 and 29 bits are told apart', () => {
  const can = new ManualCan();
  const driver = can.driver();
  const a = recordingLink({ transmitId: 0x600, receiveId: 0x601 });
  const b = recordingLink({ transmitId: 0x602, receiveId: 0x601, extended: true });
  driver.add(a.link);
  driver.add(b.link);
  can.deliver(frame(0x601, '01aa'), frame(0x601, '01bb', { extended: true }), frame(0x5, '01cc'));
  assert.equal(a.messages.map(hex), ['aa']);
  assert.equal(b.messages.map(hex), ['bb']);
});

test('the options of the port are passed on; ignored frames are told', () => {
  const can = new ManualCan();
  const ignored: string[] = [];
  const driver = can.driver({
    filters: [0x701],
    onIgnored: (refusal: { refused: string }) => ignored.push(refusal.refused),
  });
  assert.equal(can.options!.filters, [0x701]);
  driver.add(recordingLink().link);
  can.deliver(frame(0x701, '2100'), frame(0x701, '00'));
  assert.equal(ignored, ['iso-tp-unexpected-frame', 'can-frame-malformed']);
});

test('a sent message leaves at once; a full port is filled again when it says so', () => {
  const can = new ManualCan();
  can.writable = 0;
  const driver = can.driver();
  const a = recordingLink();
  driver.add(a.link);
  a.link.send(pattern(100));
  assert.is(can.written.length, 0);
  can.writable = 4;
  can.options!.onWritable!(4);
  assert.is(can.written.length, 1);
  can.deliver(frame(0x701, '300000'));
  assert.is(can.written.length, 4);
  assert.is(a.sent, 0);
  can.writable = 50;
  can.options!.onWritable!(50);
  assert.is(can.written.length, 15);
  assert.is(a.sent, 1);
});

test('the program is told once that the port has reached its bus', () => {
  const can = new ManualCan();
  can.writable = 0;
  const driver = can.driver();
  let joined = 0;
  driver.whenJoined(() => {
    joined++;
  });
  driver.add(recordingLink().link);
  assert.is(joined, 0);
  can.writable = 1;
  can.options!.onWritable!(1);
  can.options!.onWritable!(1);
  assert.is(joined, 1);
  driver.whenJoined(() => {
    joined++;
  });
  assert.is(joined, 2);
});

test('two bulk messages share the bus', () => {
  const can = new ManualCan();
  can.writable = 200;
  const driver = can.driver();
  const a = recordingLink({ transmitId: 0x600, receiveId: 0x601 });
  const b = recordingLink({ transmitId: 0x602, receiveId: 0x603 });
  driver.add(a.link);
  driver.add(b.link);
  a.link.send(pattern(4_000));
  b.link.send(pattern(4_000));
  can.deliver(frame(0x601, '300000'), frame(0x603, '300000'));
  const count = (id: number) => can.written.filter((sent) => sent.identifier === id).length;
  assert.ok(count(0x600) >= 64 && count(0x602) >= 64);
});

test('separation times and timeouts run on the clock', () => {
  const can = new ManualCan();
  const driver = can.driver();
  const a = recordingLink();
  driver.add(a.link);
  a.link.send(pattern(20));
  can.clock.advanceTo(10);
  can.deliver(frame(0x701, '30000a'));
  assert.is(can.written.length, 2);
  can.clock.advanceTo(19);
  assert.is(can.written.length, 2);
  can.clock.advanceTo(20);
  assert.is(can.written.length, 3);
  assert.is(can.clock.waiting, 0, 'an idle bus arms no timer');
  a.link.send(pattern(20));
  can.clock.advanceTo(1_019);
  assert.equal(a.errors, []);
  can.clock.advanceTo(1_020);
  assert.equal(a.errors, ['send: iso-tp-timeout']);
});

test('after the program was held up, waiting frames are read before timeouts are judged', () => {
  const can = new ManualCan();
  const driver = can.driver();
  const a = recordingLink();
  driver.add(a.link);
  a.link.send(pattern(20));
  // The program blocks for three seconds; only then the platform gets to deliver frames.
  can.clock.now = 3_000;
  can.clock.after(0, () => can.deliver(frame(0x701, '300000')));
  a.link.onWork!();
  assert.equal(a.errors, []);
  can.clock.advanceTo(3_000);
  assert.equal(a.errors, []);
  assert.is(a.sent, 1);
});

test('a program that was held up does not wait for ever for a peer that is gone', () => {
  const can = new ManualCan();
  const driver = can.driver();
  const a = recordingLink();
  driver.add(a.link);
  a.link.send(pattern(20));
  can.clock.now = 3_000;
  can.clock.advanceTo(3_001);
  assert.equal(a.errors, ['send: iso-tp-timeout']);
});

test('a client and a server with pending work meet on one bus', () => {
  const clock = new VirtualClock();
  const ports: { options: CanOptions; queue: CanFrame[] }[] = [];
  const can: Can = {
    open: (options) => {
      const mine = { options, queue: [] as CanFrame[] };
      ports.push(mine);
      return {
        read: () => mine.queue.shift(),
        writable: 64,
        write: (sent) => {
          for (const other of ports) {
            if (other === mine) continue;
            other.queue.push(sent);
            clock.after(0, () => other.options.onReadable(other.queue.length));
          }
        },
        close: () => {},
      };
    },
  };
  const shared = { extended: false, flexibleData: true, maxMessageBytes: 4_096 };
  const client = new UdsClient({ ...shared, transmitId: 0x700, receiveId: 0x701 });
  const order: string[] = [];
  const server = new UdsServer({
    routineControl: () => ({
      pending: () => {
        order.push('worked');
        return pattern(100);
      },
    }),
  });
  const answered: string[] = [];
  const serving = new UdsServerLink({
    ...shared,
    transmitId: 0x701,
    receiveId: 0x700,
    server,
    onAnswered: (response) => {
      answered.push(hex(response.subarray(0, 3)));
      order.push('answered');
    },
  });
  new LinkDriver({ can, clock, port: 'a' }).add(client);
  new LinkDriver({ can, clock, port: 'b' }).add(serving);
  let result = '';
  client.request(bytesOf('3101ff00'), (response) => {
    result = hex(response as Uint8Array);
  });
  clock.advanceTo(10);
  assert.is(result, `7101ff00${hex(pattern(100))}`);
  assert.equal(answered, ['7f3178', '7101ff']);
  assert.equal(order, ['answered', 'worked', 'answered']);
});

test('an identifier is taken once, and free again after its link has left', () => {
  const can = new ManualCan();
  const driver = can.driver();
  const a = recordingLink();
  driver.add(a.link);
  assert.throws(() => driver.add(recordingLink().link));
  driver.remove(a.link);
  driver.remove(a.link);
  can.deliver(frame(0x701, '01aa'));
  assert.equal(a.messages, []);
  driver.add(recordingLink().link);
});

test('after close nothing is called or written', () => {
  const can = new ManualCan();
  const driver = can.driver();
  const a = recordingLink();
  driver.add(a.link);
  a.link.send(pattern(20));
  driver.close();
  driver.close();
  assert.is(can.closed, 1);
  can.deliver(frame(0x701, '300000'));
  can.clock.advanceTo(10_000);
  assert.is(can.written.length, 1);
  assert.equal(a.errors, []);
});

test.run();
