/**
 * Judging manifests: everything that is cheap first, then all signatures at once.
 *
 * `checkManifest` runs with a crypto that notes each signature and calls it good. What it refuses
 * then, it refuses without a single verification. The noted signatures are verified together; where
 * all are good, the first result stands. Where one is not, the same check runs again with the
 * answers: so a bad manifest is named by the very code that a verification one by one would give,
 * and its neighbours do not notice.
 */
import type { Refusal } from '../../agent/codes.ts';
import { isRefusal } from '../../agent/codes.ts';
import type { Crypto } from '../../hal/types.ts';
import type { Services } from '../services.ts';
import type { SignatureClaim } from './ecu-signatures.ts';
import { type CheckedManifest, checkManifest } from './manifest-checks.ts';

export interface ReceivedManifest {
  readonly vehicleId: string;
  /** Encoded COSE_Sign as received. */
  readonly body: Uint8Array;
}

/** Manifests that are decoded before the loop looks at its sockets again. */
const manifestsPerTurn = 32;

/** One result for each manifest, in their order. Codes of `checkManifest`. */
export async function judgeManifests(
  services: Services,
  manifests: readonly ReceivedManifest[],
): Promise<readonly (CheckedManifest | Refusal)[]> {
  const results: Promise<CheckedManifest | Refusal>[] = [];
  for (let i = 0; i < manifests.length; i++) {
    if (i > 0 && i % manifestsPerTurn === 0) await nextTurn();
    results.push(judge(services, manifests[i]!));
  }
  return Promise.all(results);
}

async function judge(
  services: Services,
  { vehicleId, body }: ReceivedManifest,
): Promise<CheckedManifest | Refusal> {
  const claims: SignatureClaim[] = [];
  const noting = withVerify(services, (claim) => {
    claims.push(claim);
    return true;
  });
  const checked = await checkManifest(noting, vehicleId, body);
  if (isRefusal(checked)) return checked;
  const answers = await services.verifier.verify(claims);
  if (!answers.includes(false)) return checked;
  let next = 0;
  const answering = withVerify(services, (claim) => {
    // In the same order as before, up to the first bad one; a signature tried instead is new.
    const known = claims[next] !== undefined && sameClaim(claims[next]!, claim);
    if (known) return answers[next++]!;
    const { publicKey, message, signature } = claim;
    return services.crypto.verify('ESP256', publicKey, message, signature);
  });
  return checkManifest(answering, vehicleId, body);
}

function withVerify(services: Services, verify: (claim: SignatureClaim) => boolean): Services {
  const crypto: Crypto = {
    ...services.crypto,
    // Only ESP256 keys are registered for ECUs (INV-05); another algorithm is verified as ever.
    verify: (algorithm, publicKey, message, signature, context) =>
      algorithm === 'ESP256'
        ? verify({ publicKey, message, signature })
        : services.crypto.verify(algorithm, publicKey, message, signature, context),
  };
  return { ...services, crypto };
}

function sameClaim(one: SignatureClaim, other: SignatureClaim): boolean {
  // Both passes read the same body: the same bytes are the same view.
  return (
    one.signature.byteOffset === other.signature.byteOffset &&
    one.signature.length === other.signature.length &&
    Buffer.compare(one.message, other.message) === 0
  );
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
