/**
 * The fuzz run of the QuickJS host's C code: `make fuzz-native` (SEED= CASES=), and a short one among
 * the unit tests. Starts the program with sanitizers in a folder of its own, a hub that says hostile
 * things on a CAN bus, and a TLS server behind a relay that changes bytes of its answers.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Random } from '../fuzz/random.ts';
import type { Attempt } from '../simulator/tls-attempt.ts';
import { makeHierarchy, now, serverName, serverWith, startTlsPeer } from '../unit/net/tls-cases.ts';

/** Where `make provider-hosts` puts the program. */
export const fuzzProgram = 'out/native/script-host-fuzz';

export interface FuzzOptions {
  readonly seed: number;
  /** Rounds of calls; each is a handful. */
  readonly cases: number;
  /** TLS connections with changed answers. */
  readonly connections: number;
}

export interface FuzzResult {
  readonly status: number | null;
  /** What the program and the sanitizers said. */
  readonly output: string;
  /** Function or method → how often it was called; `frames`: those read from the bus. */
  readonly calls: Readonly<Record<string, number>>;
  /** Connections that echoed the message although the relay had changed bytes of the handshake. */
  readonly deceived: number;
  /** Connections that the relay let pass unchanged, and that echoed. */
  readonly unchanged: number;
}

function listen(server: Server): Promise<number> {
  return new Promise((done) =>
    server.listen(0, '127.0.0.1', () => done((server.address() as AddressInfo).port)),
  );
}

/** Says a greeting, then right frames, wrong frames and noise, in pieces of any length. */
function hostileHub(random: Random): Server {
  return createServer((socket) => {
    socket.on('error', () => undefined).resume();
    const frames: number[] = [];
    const right = random.pick([0, 5, 40, 200]);
    for (let i = 0; i < 200; i++) {
      // After the first wrong one the port is closed.
      const wrong = i >= right && random.below(4) === 0;
      const length = wrong ? random.below(256) : random.pick([0, 1, 8, 8, 0x80 | 12, 0x80 | 64]);
      frames.push(wrong ? random.below(256) : 0x80 | random.below(32), random.below(256), 0, 1);
      frames.push(length);
      if (length & 0x80) frames.push(random.below(wrong ? 256 : 8));
      for (let data = length & 0x7f; data > 0; data--) frames.push(random.below(256));
    }
    const greeting = random.below(8) === 0 ? 'CANNELLONIv2' : 'CANNELLONIv1';
    socket.write(Buffer.concat([Buffer.from(greeting, 'latin1'), Buffer.from(frames)]));
    if (random.below(2) === 0) socket.end();
  });
}

/** Passes on what both sides say, with a byte of the server's handshake changed, or worse. */
function changingRelay(
  random: Random,
  target: number,
  counts: { deceived: number; unchanged: number },
) {
  return createServer((device) => {
    const server = connect(target, '127.0.0.1');
    const kind = random.below(8);
    let changed = false;
    let passed = 0;
    device.on('data', (data) => void server.write(data));
    server.on('data', (data) => {
      const handshake = passed === 0;
      passed += data.length;
      if (handshake && kind > 0) {
        changed = kind < 6;
        change(random, data, kind);
      }
      // An echo can only follow a handshake that the client took for unbroken.
      const appearance = data.length > 0 && data[0] === 0x17;
      if (appearance) counts[changed ? 'deceived' : 'unchanged'] += 1;
      device.write(kind === 7 ? data.subarray(0, random.below(data.length)) : data);
      if (kind === 7) device.end();
    });
    const close = (one: Socket) => () => void one.destroy();
    device.on('error', close(server)).on('close', close(server));
    server.on('error', close(device)).on('close', () => device.end());
  });
}

/** Kinds below 6 change bytes of handshake messages, which its digest covers; 6 changes anything. */
function change(random: Random, data: Buffer, kind: number): void {
  for (let count = 1 + random.below(3); count > 0; count--) {
    // Past the head of the first record: version and length are not part of the digest.
    const at =
      kind < 6 ? 5 + random.below(Math.max(1, recordLength(data))) : random.below(data.length);
    if (at < data.length) data[at] = data[at]! ^ (1 + random.below(255));
  }
}

function recordLength(data: Buffer): number {
  return data.length < 5 ? 0 : Math.min(data.readUInt16BE(3), data.length - 5);
}

async function unusedPort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((done) => server.close(done));
  return port;
}

export async function fuzzNative(options: FuzzOptions): Promise<FuzzResult> {
  const random = new Random(options.seed);
  const { root, authority, server } = makeHierarchy();
  const tls = await startTlsPeer(
    { ...serverWith(server(), authority), maxVersion: 'TLSv1.2' },
    (socket) => void socket.pipe(socket),
  );
  const counts = { deceived: 0, unchanged: 0 };
  const relay = changingRelay(random, tls.port, counts);
  const hub = hostileHub(random);
  const folder = mkdtempSync(join(tmpdir(), 'ota-fuzz-native-'));
  try {
    const attempt: Attempt = {
      port: await listen(relay),
      serverName,
      trustAnchors: [Buffer.from(root.der).toString('hex')],
      seconds: now,
      attested: true,
      bytes: 100,
    };
    const given = {
      seed: options.seed,
      cases: options.cases,
      canPort: await listen(hub),
      attempt,
      attempts: options.connections,
      closedPort: await unusedPort(),
    };
    writeFileSync(join(folder, 'description.json'), JSON.stringify(given));
    writeFileSync(join(folder, 'x'), 'x');
    writeFileSync(join(folder, 'part'), Buffer.alloc(16_384, 0xff));
    const { status, output } = await run(folder);
    const line = /^fuzz (\{.*\})$/m.exec(output);
    const calls = line === null ? {} : (JSON.parse(line[1]!) as FuzzResult).calls;
    return { status, output, calls, ...counts };
  } finally {
    await tls.close();
    for (const one of [relay, hub]) one.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(folder: string): Promise<{ status: number | null; output: string }> {
  const child = spawn(resolve(fuzzProgram), ['--heap', '16000000', 'description.json'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    // The engine's own objects may be in use when the program ends.
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-100_000);
    });
  }
  return new Promise((done) => child.on('close', (status) => done({ status, output })));
}

async function main(): Promise<number> {
  const { SEED, CASES } = process.env;
  const seed = Number(SEED || Date.now() % 4_294_967_296);
  const cases = Number(CASES || 200_000);
  if (!Number.isSafeInteger(seed) || seed < 0 || !(cases >= 1)) {
    process.stderr.write('fuzz-native: SEED and CASES are whole numbers\n');
    return 2;
  }
  process.stdout.write(`seed ${seed} (SEED=${seed} make fuzz-native makes the same calls again)\n`);
  const result = await fuzzNative({ seed, cases, connections: Math.ceil(cases / 100) });
  const { calls, deceived, unchanged } = result;
  const total = Object.values(calls).reduce((sum, count) => sum + count, 0);
  process.stdout.write(
    `${total} calls of ${Object.keys(calls).length} entry points, ${unchanged} connections unchanged, ` +
      `${deceived} deceived\n`,
  );
  if (result.status === 0 && deceived === 0) return 0;
  process.stdout.write(`${result.output}\nthe program ended with status ${result.status}\n`);
  return 1;
}

if (process.argv[1] === import.meta.filename) process.exitCode = await main();
