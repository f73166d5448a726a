/**
 * The native crypto of the QuickJS host as a provider in this process: each call goes to a
 * provider-host (provider-host.c) and waits for its answer, so that the tests of the other providers
 * run unchanged on the C code inside the engine.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNativeCrypto } from '../../hal/quickjs/crypto.ts';
import type { Native } from '../../hal/quickjs/native.ts';
import type { Crypto } from '../../hal/types.ts';

const argumentKinds = { undefined: 0, number: 1, bytes: 2 } as const;
const answerKinds = { undefined: 0, false: 1, true: 2, bytes: 3, exception: 4, object: 5 } as const;

/** A boolean, with the bytes that the last argument holds after the call. */
interface Written {
  readonly result: boolean;
  readonly written: Uint8Array;
}

type Argument = undefined | number | Uint8Array;

/** A provider-host that runs, with the pipes to it. It ends with this process. */
class ProviderHost {
  private readonly requests: number;
  private readonly answers: number;

  constructor(command: readonly string[]) {
    const folder = mkdtempSync(join(tmpdir(), 'ota-provider-'));
    const [requests, answers] = [join(folder, 'requests'), join(folder, 'answers')];
    // Node's own pipes to a child cannot be read synchronously; named pipes can.
    execFileSync('mkfifo', [requests, answers]);
    const line = `exec ${command.join(' ')} <${requests} >${answers}`;
    spawn('sh', ['-c', line], { stdio: ['ignore', 'ignore', 'inherit'] }).unref();
    this.requests = openSync(requests, 'w');
    this.answers = openSync(answers, 'r');
    rmSync(folder, { recursive: true });
  }

  call(name: string, ...given: readonly Argument[]): unknown {
    const pieces: Uint8Array[] = [Buffer.from([name.length]), Buffer.from(name, 'latin1')];
    for (const argument of given) {
      const [kind, bytes] =
        argument === undefined
          ? [argumentKinds.undefined, new Uint8Array(0)]
          : typeof argument === 'number'
            ? [argumentKinds.number, new Uint8Array(new Int32Array([argument]).buffer)]
            : [argumentKinds.bytes, argument];
      const head = Buffer.alloc(5);
      head[0] = kind;
      head.writeUInt32LE(bytes.length, 1);
      pieces.push(head, bytes);
    }
    const body = Buffer.concat(pieces);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    this.write(Buffer.concat([length, body]));
    const answer = this.read(this.read(4).readUInt32LE());
    const bytes = answer.subarray(1);
    switch (answer[0]) {
      case answerKinds.undefined:
        return undefined;
      case answerKinds.false:
      case answerKinds.true:
        return { result: answer[0] === answerKinds.true, written: bytes } satisfies Written;
      case answerKinds.bytes:
        return new Uint8Array(bytes);
      case answerKinds.exception:
        throw new RangeError(bytes.toString('utf8'));
      default:
        return {
          update: (piece: Uint8Array) => this.call('.update', piece),
          finish: () => this.call('.finish'),
        };
    }
  }

  private write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(this.requests, bytes, done, bytes.length - done);
    }
  }

  private read(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const count = readSync(this.answers, bytes, done, length - done, null);
      if (count === 0) throw new Error('the provider-host ended: see its messages above');
      done += count;
    }
    return bytes;
  }
}

/** The host's functions, called in the other process. */
function remoteNative(host: ProviderHost): Native {
  const names = [
    'digest',
    'createDigest',
    'hmac',
    'sign',
    'aeadSeal',
    'decapsulate',
    'encapsulate',
  ];
  const functions = Object.fromEntries(
    names.map((name) => [name, (...given: readonly Argument[]) => host.call(name, ...given)]),
  );
  return {
    ...functions,
    verify: (...given: readonly Argument[]) => (host.call('verify', ...given) as Written).result,
    aeadOpen(...given: readonly Argument[]) {
      const { result, written } = host.call('aeadOpen', ...given) as Written;
      (given[4] as Uint8Array).set(written);
      return result;
    },
  } as unknown as Native;
}

/** Where `make native-tests` puts the programs. */
const folder = 'out/native';

/** The native providers that were built, by name. */
export function nativeProviders(): { readonly name: string; readonly crypto: Crypto }[] {
  const found: { name: string; crypto: Crypto }[] = [];
  for (const name of ['bearssl', 'openssl', 'bearssl-sanitized']) {
    const program = join(folder, `provider-host-${name}`);
    if (!existsSync(program)) continue;
    found.push({
      name: `native ${name}`,
      crypto: createNativeCrypto(remoteNative(new ProviderHost([program]))),
    });
  }
  return found;
}
