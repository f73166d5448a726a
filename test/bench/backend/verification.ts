/** The verification pool against `crypto.verify` alone on every core, in one sitting. */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { packClaims } from '../../../backend/director/claim-buffer.ts';
import type { SignatureClaim } from '../../../backend/director/ecu-signatures.ts';
import { VerificationPool } from '../../../backend/director/verification-pool.ts';
import { Metrics } from '../../../backend/metrics.ts';
import { generateKeyPair, signerOf } from '../../../hal/node/signing.ts';
import { median, type Result } from '../measure.ts';

const ecus = 256;
const claimsPerEcu = 32;
const rounds = 5;

function answerOf(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

export async function benchPool(): Promise<Result[]> {
  const pairs = Array.from({ length: ecus }, () => generateKeyPair('ESP256'));
  const claims: SignatureClaim[] = [];
  for (let i = 0; i < claimsPerEcu; i++) {
    for (const pair of pairs) {
      // As long as a report's Sig_structure.
      const message = new Uint8Array(260).fill(i);
      const signature = signerOf(pair).sign(message);
      claims.push({ publicKey: pair.key.bytes, message, signature });
    }
  }
  const cores = availableParallelism();
  const share = Math.ceil(claims.length / cores);
  const workers = Array.from(
    { length: cores },
    () => new Worker(new URL('bare-verify.ts', import.meta.url)),
  );
  for (const [i, worker] of workers.entries()) {
    const ready = answerOf(worker);
    worker.postMessage(packClaims(claims.slice(i * share, (i + 1) * share)));
    await ready;
  }
  const metrics = new Metrics();
  const pool = new VerificationPool(metrics);
  const bareRates: number[] = [];
  const poolRates: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    let started = performance.now();
    const answers = workers.map(answerOf);
    for (const worker of workers) worker.postMessage('go');
    const good = (await Promise.all(answers)).reduce((sum: number, one) => sum + Number(one), 0);
    const bare = claims.length / ((performance.now() - started) / 1_000);
    started = performance.now();
    const pooled = await pool.verify(claims);
    const rate = claims.length / ((performance.now() - started) / 1_000);
    if (good !== claims.length || pooled.includes(false)) throw new Error('a good one was refused');
    // The first round starts the threads and makes their keys.
    if (round === 0) continue;
    bareRates.push(bare);
    poolRates.push(rate);
    ratios.push(rate / bare);
  }
  await Promise.all(workers.map((worker) => worker.terminate()));
  await pool.close();
  metrics.close();
  return [
    {
      name: 'ES256 verified, crypto.verify alone',
      value: median(bareRates),
      unit: '/s',
      note: `${cores} threads, keys made beforehand; openssl speed: ${opensslSpeed(cores)}`,
    },
    {
      name: 'ES256 verified by the pool',
      value: median(poolRates),
      unit: '/s',
      note: `${median(ratios).toFixed(2)}x of it (median of ${rounds} pairs)`,
    },
  ];
}

/** Verifications a second as OpenSSL's own tool measures them. */
function opensslSpeed(cores: number): string {
  const options = ['speed', '-seconds', '1', '-multi', String(cores), 'ecdsap256'];
  const { stdout } = spawnSync('openssl', options, { encoding: 'utf8' });
  const last = stdout?.trim().split('\n').at(-1) ?? '';
  return /ecdsa.*?([\d.]+)\s*$/.exec(last)?.[1] ?? 'not installed';
}
