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

/**
 * Answers a Secondary's questions until its verification has ended (PRI-12, PRI-13).
 * @param begun the verification's first step, just asked for
 * @param fileOf only files that the Primary has verified itself (ECU-05); its refusal ends this
 * @returns ids of the ECUs for which the Secondary accepted an image, or its refusal
 */
export async function handOverMetadata(
  secondary: Secondary,
  begun: Promise<VerificationStep | Refusal>,
  fileOf: (repository: RepositoryName, name: string) => Uint8Array | undefined | Refusal,
): Promise<readonly string[] | Refusal> {
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
  if (step.refusal !== undefined) return refusalFrom(step.refusal, secondary.ecuIds[0]!);
  return (step.assignments ?? []).map(([ecuId]) => ecuId);
}

/** Every image that the Primary wants on this Secondary was accepted by it. `secondary-disagrees` */
export function checkAccepted(
  secondary: Secondary,
  assignments: readonly Target[],
  accepted: readonly string[],
): Refusal | undefined {
  const missing = assignments
    .map((target) => target.assignment!.ecuId)
    .filter((ecuId) => secondary.ecuIds.indexOf(ecuId) >= 0 && accepted.indexOf(ecuId) < 0)[0];
  return missing === undefined
    ? undefined
    : refuse('secondary-disagrees', `${missing} finds no image for itself`);
}
