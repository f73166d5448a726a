/**
 * Handing metadata to a Secondary (Uptane §5.4.2.6): it asks for the files that its own
 * verification needs, in its own order.
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxRootBytes } from '../limits.ts';
import { type RepositoryName, repositoryName } from '../metadata/common.ts';
import type { Target } from '../metadata/targets.ts';
import type { VerificationStep } from '../metadata/vehicle-messages.ts';
import { refusalFrom, type Secondary } from './secondary-client.ts';

/** How a Secondary's verification ended. */
export interface Acceptance {
  /** ECUs for which it takes the image that is listed for them. */
  readonly ecuIds: readonly string[];
  /** `update-given-up` when there are others. */
  readonly givenUp: Refusal | undefined;
}

/** ECUs that take the image no more that is listed for them, and what they say of it. */
export type GivenUp = Map<string, Refusal>;

/**
 * Answers a Secondary's questions until its verification has ended (PRI-12, PRI-13).
 * @param begun the verification's first step, just asked for
 * @param fileOf only files that the Primary has verified itself (ECU-05); its refusal ends this
 * @returns what the Secondary accepted, or its refusal
 */
export async function handOverMetadata(
  secondary: Secondary,
  begun: Promise<VerificationStep | Refusal>,
  fileOf: (repository: RepositoryName, name: string) => Uint8Array | undefined | Refusal,
): Promise<Acceptance | Refusal> {
  let step = await begun;
  while (!isRefusal(step) && step.ask !== undefined) {
    const { repository, name, maxBytes } = step.ask;
    const file = fileOf(repositoryName(repository), name);
    if (isRefusal(file)) return file;
    // HRD-13: what the Secondary has no room for is not sent; its refusal would be the same.
    if (file !== undefined && file.length > Math.min(maxBytes, maxRootBytes)) {
      const size = `${name} of ${file.length} bytes`;
      return refuse('body-too-large', `${size} is too large for ${secondary.ecuIds[0]}`);
    }
    step = await secondary.supplyFile(file);
  }
  if (isRefusal(step)) return step;
  const refusal = step.refusal && refusalFrom(step.refusal, secondary.ecuIds[0]!);
  if (refusal !== undefined && refusal.refused !== 'update-given-up') return refusal;
  return { ecuIds: (step.assignments ?? []).map(([ecuId]) => ecuId), givenUp: refusal };
}

/**
 * Every image that the Primary wants on this Secondary was accepted by it, or given up by it.
 * @param givenUp gets the ECUs of this Secondary that take their image no more (INS-12)
 * @returns code `secondary-disagrees`
 */
export function checkAccepted(
  secondary: Secondary,
  assignments: readonly Target[],
  accepted: Acceptance,
  givenUp: GivenUp,
): Refusal | undefined {
  for (const target of assignments) {
    const { ecuId } = target.assignment!;
    if (secondary.ecuIds.indexOf(ecuId) < 0 || accepted.ecuIds.indexOf(ecuId) >= 0) continue;
    if (accepted.givenUp === undefined) {
      return refuse('secondary-disagrees', `${ecuId} finds no image for itself`);
    }
    givenUp.set(ecuId, accepted.givenUp);
  }
  return undefined;
}
