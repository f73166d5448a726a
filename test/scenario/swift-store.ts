/**
 * A real object store for tests: OpenStack Swift with its S3 interface, in one process on this
 * machine (swift-store.py). It checks signatures and digests, and keeps what it has acknowledged.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../../backend/fleet/child-process.ts';
import { S3Client, type S3Settings } from '../../backend/store/s3-client.ts';

const program = join(process.cwd(), 'test', 'scenario', 'swift-store.py');
/** Debian's own, which finds Debian's packages. */
const python = '/usr/bin/python3';
const accessKeyId = 'fleet:operator';
const secretAccessKey = 'a-secret-of-the-tests';

/** What keeps the tests of this file from running, as they print it; undefined when nothing does. */
export function whySwiftIsMissing(): string | undefined {
  try {
    execFileSync(python, ['-c', 'import swift, eventlet'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'Debian package python3-swift is not installed';
  }
}

export class SwiftStore {
  private readonly folder = mkdtempSync(join(tmpdir(), 'ota-swift-'));
  private child: Child | undefined;
  private port = 0;

  /** Starts it, on the same port as before, with what it has kept. */
  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const errors: string[] = [];
      this.child = new Child({
        program: python,
        arguments: [program, this.folder, String(this.port), accessKeyId, secretAccessKey],
        onLine: (line, stream) => {
          const [, port] = /^listening (\d+)$/.exec(line) ?? [];
          if (port !== undefined) {
            this.port = Number(port);
            resolve();
          } else if (stream === 'stderr') errors.push(line);
        },
        onExit: (status) => reject(new Error(`swift ended: ${status}: ${errors.join('\n')}`)),
      });
    });
  }

  /** Ends it in the middle of whatever it does. */
  async kill(): Promise<void> {
    await this.child?.kill();
  }

  /** A bucket of that name, made when it is not there. */
  async bucket(bucket: string): Promise<S3Settings> {
    const endpoint = `http://127.0.0.1:${this.port}`;
    const settings = { endpoint, bucket, region: 'us-east-1', accessKeyId, secretAccessKey };
    (await new S3Client(settings).send({ method: 'PUT', key: '' })).resume();
    return settings;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Settings as a backend's environment. */
export function environmentOf(settings: S3Settings): Readonly<Record<string, string>> {
  return {
    S3_ENDPOINT: settings.endpoint,
    S3_BUCKET: settings.bucket,
    S3_REGION: settings.region,
    S3_ACCESS_KEY_ID: settings.accessKeyId,
    S3_SECRET_ACCESS_KEY: settings.secretAccessKey,
  };
}
