/** Attacks on time, memory and files: slow, endless, outside of the folder, without a token. */
import { createServer, type Server, type Socket } from 'node:net';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { maxRegistrationBytes, maxTimestampBytes } from '../../agent/limits.ts';
import { HttpClient } from '../../agent/net/http.ts';
import { RepositoryClient } from '../../agent/net/repository-client.ts';
import { createNodeClock } from '../../hal/node/clock.ts';
import { createNodeNet } from '../../hal/node/net.ts';
import { createNodeRandom } from '../../hal/node/random.ts';
import { call, codeOf, makeImage, operatorToken } from '../scenario/backend-fixture.ts';
import type { Attack, Target } from './attack.ts';
import { attackRaw } from './raw-connection.ts';

/** Long enough for every limit of the device plane, on a slow machine too. */
const patienceMilliseconds = 60_000;
const mebibyte = 1_048_576;

const statusLine = (answer: string) => /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 'closed';

const slowHead: Attack = {
  name: 'slow drip: a request that never ends',
  peer: 'held for ever',
  async replay({ backend }) {
    const { answer, milliseconds } = await attackRaw({
      port: backend.backend.ports.director,
      head: 'GET / HTTP/1.1\r\nhost: x\r\nx: ',
      piece: Uint8Array.of(0x61),
      milliseconds: 250,
      maxMilliseconds: patienceMilliseconds,
    });
    const refused = statusLine(answer) === '408';
    return { refused, detail: `${statusLine(answer)} after ${Math.round(milliseconds / 1_000)} s` };
  },
};

const slowBody: Attack = {
  name: 'slow drip: a body of one byte at a time',
  peer: 'held for ever',
  async replay({ backend }) {
    const { answer, milliseconds } = await attackRaw({
      port: backend.backend.ports.director,
      head:
        'POST /register HTTP/1.1\r\nhost: x\r\ncontent-type: application/cbor\r\n' +
        'content-length: 100000\r\n\r\n',
      piece: Uint8Array.of(0xa4),
      milliseconds: 250,
      maxMilliseconds: patienceMilliseconds,
    });
    const refused = statusLine(answer) === '408';
    return { refused, detail: `${statusLine(answer)} after ${Math.round(milliseconds / 1_000)} s` };
  },
};

const endlessBody: Attack = {
  name: 'endless body into the backend',
  peer: 'read to its end, whatever its length',
  async replay({ backend }) {
    const piece = Buffer.concat([
      Buffer.from('10000\r\n', 'latin1'),
      Buffer.alloc(65_536, 0x61),
      Buffer.from('\r\n', 'latin1'),
    ]);
    const { answer, bytesSent } = await attackRaw({
      port: backend.backend.ports.director,
      head:
        'POST /register HTTP/1.1\r\nhost: x\r\ncontent-type: application/cbor\r\n' +
        'transfer-encoding: chunked\r\n\r\n',
      piece,
      maxMilliseconds: patienceMilliseconds,
      maxBytes: 512 * mebibyte,
    });
    // What lies in the buffers of both sockets has left the attacker, too.
    const bound = maxRegistrationBytes + 16 * mebibyte;
    const refused = bytesSent < bound && ['413', 'closed'].includes(statusLine(answer));
    const sent = `${(bytesSent / mebibyte).toFixed(1)} MiB of 512 taken`;
    return { refused, detail: `${statusLine(answer)}, ${sent}` };
  },
};

/** A server of the attacker's, and what the shipped client of a vehicle says of it. */
async function vehicleMeets(
  serve: (socket: Socket) => void,
): Promise<{ readonly refusal: Refusal | undefined; readonly bytesSent: number }> {
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => serve(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const clock = createNodeClock();
  const endpoint = { host: '127.0.0.1', port };
  const client = new RepositoryClient({
    http: new HttpClient({ net: createNodeNet(), clock }),
    clock,
    random: createNodeRandom(),
    vehicleId: 'victim',
    director: endpoint,
    images: endpoint,
  });
  const file = { repository: 'director', name: 'timestamp.cbor', maxBytes: maxTimestampBytes };
  const result = await new Promise<Uint8Array | Refusal | undefined>((resolve) => {
    client.fetchMetadata(file as Parameters<RepositoryClient['fetchMetadata']>[0], resolve);
  });
  const bytesSent = sockets.reduce((sum, socket) => sum + socket.bytesWritten, 0);
  for (const socket of sockets) socket.destroy();
  server.close();
  return { refusal: isRefusal(result) ? result : undefined, bytesSent };
}

const dripAtVehicle: Attack = {
  name: 'slow drip: a server of 2 bytes a second',
  peer: 'the client is held for ever',
  async replay() {
    const { refusal } = await vehicleMeets((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1029\r\n\r\n');
      const timer = setInterval(() => socket.write('a'), 500);
      socket.on('close', () => clearInterval(timer));
    });
    const code = refusal?.refused ?? 'taken';
    return { refused: code === 'net-too-slow', detail: `vehicle: ${code}` };
  },
};

const endlessAtVehicle: Attack = {
  name: 'endless body into a vehicle',
  peer: '512 MiB for 1,029 bytes: 1,100 MiB of memory',
  async replay() {
    const piece = Buffer.alloc(65_536, 0x61);
    const { refusal, bytesSent } = await vehicleMeets((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20000000\r\n');
      const pour = () => {
        while (!socket.destroyed && socket.bytesWritten < 512 * mebibyte) {
          if (!socket.write(piece)) return;
        }
      };
      socket.on('drain', pour);
      pour();
    });
    const code = refusal?.refused ?? 'taken';
    const sent = `${(bytesSent / mebibyte).toFixed(1)} MiB of 512 left the server`;
    const refused = code === 'net-endless' && bytesSent < 16 * mebibyte;
    return { refused, detail: `vehicle: ${code}, ${sent}` };
  },
};

const traversals = [
  '../../keys/online/director-time.key',
  '..%2f..%2fkeys%2fonline%2fdirector-time.key',
  '%2e%2e/%2e%2e/director.sqlite',
  '/etc/passwd',
  '%2fetc%2fpasswd',
  `${'0'.repeat(64)}...%2fx`,
];

const pathTraversal: Attack = {
  name: 'path traversal',
  peer: 'an upload writes any path',
  async replay({ backend }: Target) {
    const before = backend.blobFiles();
    const answers: string[] = [];
    for (const path of traversals) {
      for (const prefix of ['/targets/', '/metadata/']) {
        answers.push(codeOf(await backend.images(`${prefix}${path}`)));
      }
      const { ciphertext } = makeImage('x.bin', new Uint8Array(9), ['hw']);
      answers.push(codeOf(await backend.upload(decodeURIComponent(path), ciphertext)));
    }
    const statuses = [...new Set(answers)].sort();
    const unchanged = before.join() === backend.blobFiles().join();
    const refused = unchanged && answers.every((answer) => /^40[04] /.test(answer));
    return { refused, detail: `${answers.length} paths: ${statuses.join(', ')}` };
  },
};

const anonymousUpload: Attack = {
  name: 'anonymous upload',
  peer: 'anybody publishes',
  async replay({ backend }) {
    const before = backend.blobFiles();
    const { ciphertext } = makeImage('evil.bin', new Uint8Array(9), ['hw-brakes']);
    const { images, operator } = backend.backend.ports;
    const upload = (port: number, headers: Readonly<Record<string, string>>) =>
      call(port, '/upload', {
        method: 'POST',
        headers: { 'upload-filename': 'evil.bin', ...headers },
        body: ciphertext,
        type: 'application/octet-stream',
      });
    const guessed = { authorization: `Bearer ${operatorToken}x` };
    const answers = [
      codeOf(await upload(images, {})),
      codeOf(await upload(operator, {})),
      codeOf(await upload(operator, guessed)),
    ];
    const expected = ['403 wrong-plane', '401 token-missing', '403 token-invalid'];
    const unchanged = before.join() === backend.blobFiles().join();
    const refused = unchanged && answers.join() === expected.join();
    return { refused, detail: answers.join(', ') };
  },
};

export const resourceAttacks: readonly Attack[] = [
  slowHead,
  slowBody,
  dripAtVehicle,
  endlessBody,
  endlessAtVehicle,
  pathTraversal,
  anonymousUpload,
];
