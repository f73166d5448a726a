/** The wire: who wins it, what the others see, and when all have to wait. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  arbitrationField,
  type BusFrame,
  extendedFlag,
  remoteFlag,
} from '../../../hal/emulated/bus-frame.ts';
import { CanWire, type FrameBatch, type Station } from '../../../hal/emulated/can-wire.ts';
import { decodeBusFrame, encodeBusFrame, scanFrame } from '../../../hal/emulated/cannelloni.ts';
import { busFrame, busFrames } from './bus-frames.ts';

const test = suite('wire');

class Recorder implements Station {
  readonly frames: BusFrame[] = [];
  readonly times: number[] = [];
  holds = 0;

  receive(batch: FrameBatch): void {
    for (const { frame, microseconds } of batch.frames) {
      this.frames.push(frame);
      this.times.push(microseconds);
    }
  }

  hold(held: boolean): void {
    this.holds += held ? 1 : -1;
  }

  get identifiers(): number[] {
    return this.frames.map(({ canId }) => canId);
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

function busOf(count: number) {
  const wire = new CanWire();
  const stations = Array.from({ length: count }, () => new Recorder());
  for (const station of stations) wire.join(station);
  return { wire, stations };
}

const bytesOf = (...frames: BusFrame[]) => Buffer.concat(frames.map(encodeBusFrame));

test('of frames that are queued at the same time, the lowest identifier goes first', async () => {
  const { wire, stations } = busOf(4);
  const [a, b, c, observer] = stations as [Recorder, Recorder, Recorder, Recorder];
  wire.transmit(a, bytesOf(busFrame(0x300, '01'), busFrame(0x100, '02')));
  wire.transmit(b, bytesOf(busFrame(0x200, '03'), busFrame(0x400, '04')));
  wire.transmit(c, bytesOf(busFrame(0x250, '05')));
  assert.equal(observer.identifiers, [], 'nothing before the turn has ended');
  await turn();
  // A station's own frames keep their order: 0x100 stands behind 0x300.
  assert.equal(observer.identifiers, [0x200, 0x250, 0x300, 0x100, 0x400]);
  assert.equal(a.identifiers, [0x200, 0x250, 0x400]);
  assert.equal(c.identifiers, [0x200, 0x300, 0x100, 0x400]);
});

test('standard wins over extended, data over remote, as the bits on the wire say', () => {
  const ordered = [
    0x122,
    0x123,
    0x123 + remoteFlag,
    extendedFlag + 0x123 * 2 ** 18,
    extendedFlag + 0x123 * 2 ** 18 + remoteFlag,
    extendedFlag + 0x123 * 2 ** 18 + 1,
    0x124,
    0x7ff,
    extendedFlag + 0x1fffffff,
  ];
  const fields = ordered.map(arbitrationField);
  assert.equal(
    fields,
    fields.slice().sort((x, y) => x - y),
  );
  assert.is(new Set(fields).size, fields.length);
});

test('all stations see all frames of the others in one order, each with a later time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(2), busFrames), { maxLength: 40 }), async (sent) => {
      const { wire, stations } = busOf(4);
      for (const [from, frame] of sent) wire.transmit(stations[from]!, encodeBusFrame(frame));
      await turn();
      const observer = stations[3]!;
      assert.is(observer.frames.length, sent.length);
      for (const from of [0, 1, 2]) {
        const own = sent.filter(([sender]) => sender === from).map(([, frame]) => frame);
        const places = own.map((frame) =>
          observer.frames.findIndex((one) => encoded(one) === encoded(frame)),
        );
        assert.ok(places.every((place) => place >= 0));
        assert.is(stations[from]!.frames.length, sent.length - own.length);
      }
      for (let i = 1; i < observer.times.length; i++) {
        assert.ok(observer.times[i]! > observer.times[i - 1]!);
      }
    }),
  );
});

test('a frame is the same after the bus as before it', () => {
  fc.assert(
    fc.property(busFrames, (frame) => {
      const bytes = encodeBusFrame(frame);
      assert.is(scanFrame(bytes, 0), bytes.length);
      const { data, ...rest } = decodeBusFrame(bytes, 0, bytes.length);
      assert.equal({ ...rest, data: Uint8Array.from(data) }, frame);
    }),
  );
  assert.throws(() => encodeBusFrame(busFrame(0x800, '')), /cannot be on a bus/);
  assert.throws(() => encodeBusFrame({ ...busFrame(1, '01'), length: 2 }), /cannot be on a bus/);
});

test('what a station sent before it left arrives', async () => {
  const { wire, stations } = busOf(2);
  wire.transmit(stations[0]!, bytesOf(busFrame(1, '')));
  wire.leave(stations[0]!);
  await turn();
  assert.equal(stations[1]!.identifiers, [1]);
});

test('while one station is congested all wait, newcomers too', () => {
  const { wire, stations } = busOf(2);
  wire.congest(true);
  wire.congest(true);
  const late = new Recorder();
  wire.join(late);
  assert.equal(
    [...stations, late].map(({ holds }) => holds),
    [1, 1, 1],
  );
  wire.congest(false);
  assert.is(late.holds, 1);
  wire.congest(false);
  assert.equal(
    [...stations, late].map(({ holds }) => holds),
    [0, 0, 0],
  );
});

function encoded(frame: BusFrame): string {
  return Buffer.from(encodeBusFrame(frame)).toString('hex');
}

test.run();
