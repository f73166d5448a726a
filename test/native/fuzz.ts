/**
 * A program of the QuickJS host, with sanitizers, that calls every native function and method with
 * arguments of every wrong kind and with hostile bytes of the right length (test/native/fuzz-run.ts).
 * What it finds is found by the sanitizers, which end the program; a thrown error is an answer.
 *
 * Runs in a folder of its own, where `x` is a file and `part` a flash part of 16 KiB.
 */
import type {
  Native,
  NativeCanPort,
  NativeDigest,
  NativeFlash,
  NativeKeyValue,
} from '../../hal/quickjs/native.ts';
import { createNativeNet } from '../../hal/quickjs/net.ts';
import { Random } from '../fuzz/random.ts';
import { type Attempt, attempt } from '../simulator/tls-attempt.ts';

declare const native: Native;

interface Description {
  readonly seed: number;
  readonly cases: number;
  /** A hub that says hostile things on the bus. */
  readonly canPort: number;
  /** To a server whose answers are changed, and how many. */
  readonly attempt: Attempt;
  readonly attempts: number;
  /** Nobody listens there. */
  readonly closedPort: number;
}

type Callable = (...given: unknown[]) => unknown;

const description: Description = JSON.parse(native.description);
const random = new Random(description.seed);
/** Would end or restart the program, or only print. */
const spared = ['exit', 'reboot', 'restartMachine', 'startProgram', 'log'];
const calls: Record<string, number> = {};
/** What is in use: an object that nothing holds is collected, and hears no more. */
let held: Record<string, object> = {};

/** Lengths that some function asks for, their neighbours, and others. */
const lengths = [
  0, 1, 12, 15, 16, 17, 31, 32, 33, 64, 65, 83, 96, 97, 1024, 1153, 1184, 1249, 1312, 1952, 2420,
  2592, 3309, 4096, 4627, 7856, 20_000,
];
const numbers = [
  0,
  1,
  -1,
  0.5,
  2,
  8,
  44,
  65,
  87,
  128,
  255,
  256,
  384,
  4096,
  16_384,
  65_535,
  65_536,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  -(2 ** 53),
  1e308,
  Number.NaN,
  Number.POSITIVE_INFINITY,
];
/** `x` is a file, so that no call makes a large one; nothing else is there. */
const texts = ['', 'x', 'x\0y', '/nonexistent/y', '.', '..', '../x', 'a'.repeat(5_000), '\ud800'];

function hostileBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const kind = random.below(4);
  for (let i = 0; i < length; i++) bytes[i] = kind === 0 ? 0 : kind === 1 ? 255 : random.below(256);
  return bytes;
}

function detach(bytes: Uint8Array): void {
  (bytes.buffer as ArrayBuffer & { transfer(): ArrayBuffer }).transfer();
}

function bytes(): Uint8Array {
  const all = hostileBytes(random.pick(lengths) + random.below(2));
  switch (random.below(8)) {
    case 0: {
      detach(all);
      return all;
    }
    case 1:
      return all.subarray(random.below(all.length + 1));
    case 2: {
      // A view that is longer than what is left of its buffer.
      const buffer = new (
        ArrayBuffer as unknown as new (
          length: number,
          options: { maxByteLength: number },
        ) => ArrayBuffer & { resize(length: number): void }
      )(64, { maxByteLength: 128 });
      const view = new Uint8Array(buffer, random.below(2) * 32);
      buffer.resize(random.below(2) * 40);
      return view;
    }
    default:
      return all;
  }
}

const thrower = {
  toString(): string {
    throw new Error('no text');
  },
};

/** @param others all arguments of the call, once it is made */
function anything(others: readonly unknown[]): unknown {
  switch (random.below(16)) {
    case 0:
      return random.pick([undefined, null, true, false]);
    case 1:
    case 2:
      return random.pick(numbers);
    case 3:
    case 4:
      return random.pick(texts);
    case 5:
      return random.pick<unknown>([{}, [], [1, 2], [0x800, -1], thrower, Symbol('s'), 1n]);
    case 6:
      return new Uint16Array(random.below(40));
    case 7:
      return hostileBytes(random.below(40)).buffer;
    case 8:
      return () => undefined;
    case 9:
      // Becomes a text, and takes the memory of the other arguments away meanwhile.
      return {
        toString() {
          for (const one of others) if (one instanceof Uint8Array) detach(one);
          return 'x';
        },
      };
    case 10:
      return {
        identifier: random.pick(numbers),
        extended: random.below(2) === 1,
        flexibleData: random.below(2) === 1,
        bitRateSwitch: random.below(2) === 1,
        data: random.below(4) === 0 ? random.pick(texts) : bytes(),
      };
    default:
      return bytes();
  }
}

/** Calls once; everything but the end of the program is an answer. */
function call(name: string, owner: unknown, given: readonly unknown[]): unknown {
  const which = (owner as Record<string, Callable>)[name.slice(name.lastIndexOf('.') + 1)]!;
  calls[name] = (calls[name] ?? 0) + 1;
  try {
    return which.apply(random.below(50) === 0 ? {} : owner, given as unknown[]);
  } catch {
    return undefined;
  }
}

function someArguments(name: string): unknown[] {
  const given: unknown[] = [];
  for (let count = random.below(9); given.length < count; ) given.push(anything(given));
  // What would reach outside the folder, or name a host, is chosen.
  if (name === 'openFlash') given[0] = random.pick(['x', 'part', '/nonexistent/y', '', thrower]);
  if (name === 'connect') {
    given[0] = random.pick(['127.0.0.1', thrower, 1n, '']);
    given[1] = random.pick([description.closedPort, -1, 65_536, 0.5, 'x']);
    for (let i = 2; i < 7; i++) given[i] = () => undefined;
  }
  if (name === 'after') given[1] = random.pick<unknown>([() => undefined, 1, undefined]);
  if (name === 'ask' || name === 'command')
    given[0] = random.pick(['x', '/nonexistent/y', thrower]);
  return given;
}

/** The right lengths, so that the bytes get as far as they can. */
const hostileCrypto: readonly [name: string, given: () => readonly unknown[]][] = [
  ['digest', () => [random.below(2), bytes()]],
  ['hmac', () => [random.below(2), bytes(), bytes()]],
  ['sign', () => [hostileBytes(32), bytes()]],
  ['decapsulate', () => [hostileBytes(32), hostileBytes(1_153)]],
  ['encapsulate', () => [hostileBytes(1_249)]],
  ['aeadSeal', () => [hostileBytes(32), hostileBytes(12), bytes(), bytes()]],
  [
    'aeadOpen',
    () => {
      const text = hostileBytes(16 + random.below(100));
      const out = random.below(2) === 0 ? text.subarray(0, text.length - 16) : hostileBytes(84);
      return [hostileBytes(32), hostileBytes(12), bytes(), text, out];
    },
  ],
  [
    'verify',
    () => {
      const [set, key, signature] = random.pick([
        [256, 65, 64],
        [384, 97, 96],
        [44, 1_312, 2_420],
        [65, 1_952, 3_309],
        [87, 2_592, 4_627],
        [128, 32, 7_856],
      ] as const);
      const point = hostileBytes(key);
      if (set > 128) point[0] = 4;
      return [set, point, bytes(), hostileBytes(signature), hostileBytes(random.below(300))];
    },
  ],
];

/** @param heard called once the hub has said something, right or wrong */
function objects(heard: () => void): Record<string, object> {
  const digest: NativeDigest = native.createDigest(0);
  const part: NativeFlash = native.openFlash('part', 16_384, 4_096, 255);
  const values: NativeKeyValue = native.openKeyValue('values');
  const port: NativeCanPort = native.openCan(
    `tcp:${description.canPort}`,
    undefined,
    () => listen(),
    undefined,
    () => listen(),
  );
  const listen = () => {
    read(port);
    native.after(0, heard);
  };
  return { digest, part, values, port };
}

/** CAN-01: whatever the hub says, a frame has at most 64 bytes and an identifier of 29 bits. */
function read(port: NativeCanPort): void {
  for (let frame = port.read(); frame !== undefined; frame = port.read()) {
    calls['frames'] = (calls['frames'] ?? 0) + 1;
    if (frame.data.length > 64 || frame.identifier > 0x1fffffff) throw new Error('no CAN frame');
  }
}

const methods = {
  digest: ['update', 'finish'],
  part: ['read', 'program', 'erase', 'isErased', 'sha256', 'sync', 'proveProgram'],
  values: ['read', 'write', 'delete'],
  port: ['read', 'write'],
} as const;

function callMethods(made: Record<string, object>): void {
  for (const [kind, names] of Object.entries(methods)) {
    const name = random.pick<string>(names);
    call(`${kind}.${name}`, made[kind]!, someArguments(name));
  }
}

const functions = Object.keys(native).filter(
  (name) => typeof native[name as keyof Native] === 'function' && !spared.includes(name),
);

function connections(left: number, opened: number): void {
  if (left === 0) {
    native.log(`fuzz ${JSON.stringify({ calls, opened, kept: Object.keys(held).length })}`);
    native.exit(0);
  }
  attempt(createNativeNet(native), description.attempt, [], ({ echoed }) =>
    connections(left - 1, opened + (echoed > 0 ? 1 : 0)),
  );
}

/** A slice of the cases; the next when the hub was heard, so that no port is dropped before. */
function run(left: number): void {
  let more = true;
  const made = objects(() => {
    if (!more) return;
    more = false;
    if (left > 200) run(left - 200);
    else connections(description.attempts, 0);
  });
  held = made;
  for (let i = left; i > 0 && i > left - 200; i--) {
    const name = functions[i % functions.length]!;
    const forks = name === 'ask' || name === 'command';
    if (!forks || random.below(50) === 0) call(name, native, someArguments(name));
    callMethods(made);
    const [hostile, given] = random.pick(hostileCrypto);
    call(hostile, native, given());
  }
}

run(description.cases);
