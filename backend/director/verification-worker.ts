/** A thread of the verification pool: a buffer of claims in, one byte for each claim out. */
import { parentPort } from 'node:worker_threads';
import { unpackClaims } from './claim-buffer.ts';
import { EcuVerifier } from './ecu-signatures.ts';

const verifier = new EcuVerifier();

parentPort!.on('message', (claims: Uint8Array) => {
  const results: number[] = [];
  for (const claim of unpackClaims(claims)) results.push(verifier.verify(claim) ? 1 : 0);
  const answer = Uint8Array.from(results);
  parentPort!.postMessage(answer, [answer.buffer]);
});
