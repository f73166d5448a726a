/**
 * What an image must be to be installed on an ECU: the checks on a Director entry alone (all that
 * partial verification can do), and the agreement of both repositories (Uptane §5.4.4.2 step 10).
 */

import { sameBytes } from '../codec/reader.ts';
import { type Refusal, refuse } from '../codes.ts';
import {
  cobblestoneChunkBytes,
  cobblestoneHeaderBytes,
  cobblestoneTagBytes,
  maxImageBytes,
} from '../limits.ts';
import {
  cobblestoneFormat,
  type ImageKindName,
  imageKinds,
  type MustMatch,
  type Target,
} from '../metadata/targets.ts';
import { matchesPattern } from './path-pattern.ts';
import type { VerifierEcu } from './verification.ts';

/** True when the ECU runs exactly this image already. */
export function isInstalled(target: Target, ecu: VerifierEcu): boolean {
  const { installed } = ecu;
  return (
    installed !== undefined &&
    installed.filename === target.filename &&
    installed.releaseCounter === target.mustMatch.releaseCounter &&
    sameBytes(installed.sha256, target.mustMatch.plaintextSha256)
  );
}

/**
 * Judges a Director entry for the ECU that it names.
 * @param before the entry for this ECU in the Director Targets stored before these
 * @returns codes `target-hardware`, `target-filename`, `target-kind`, `target-format`,
 *   `target-too-large`, `target-rollback`
 */
export function checkAssignment(
  target: Target,
  ecu: VerifierEcu,
  before: Target | undefined,
): Refusal | undefined {
  const { mustMatch, filename } = target;
  // VIM-02: made for this hardware
  if (mustMatch.hardwareIds.indexOf(ecu.hardwareId) < 0) {
    return refuse('target-hardware', `${filename} is not for ${ecu.hardwareId} (${ecu.ecuId})`);
  }
  // VIM-03: a filename of this ECU's
  if (ecu.filenamePattern !== undefined && !matchesPattern(ecu.filenamePattern, filename)) {
    return refuse('target-filename', `${filename} for ${ecu.ecuId}`);
  }
  return (
    checkKind(mustMatch, ecu) ??
    checkSizes(target, ecu) ??
    checkReleaseCounter(mustMatch, ecu, before?.mustMatch.releaseCounter)
  );
}

function checkKind(mustMatch: MustMatch, ecu: VerifierEcu): Refusal | undefined {
  const fits = ecu.kinds.some((kind: ImageKindName) => imageKinds[kind] === mustMatch.kind);
  if (!fits) return refuse('target-kind', `kind ${mustMatch.kind} on ${ecu.ecuId}`);
  if (mustMatch.kind === imageKinds.opaque) return undefined;
  // Bytecode is not verified by its loader: another version must never reach it. Nor does a runtime
  // of another version run the agent that is in the slot.
  if (
    differs(ecu.bytecodeVersion, mustMatch.bytecodeVersion) ||
    differs(ecu.halVersion, mustMatch.halVersion)
  ) {
    const needs = `bytecode ${mustMatch.bytecodeVersion}, HAL ${mustMatch.halVersion}`;
    return refuse('target-kind', `needs ${needs}; has ${ecu.bytecodeVersion}, ${ecu.halVersion}`);
  }
  return undefined;
}

/** An ECU's unknown version differs from none. */
function differs(own: number | undefined, needed: number | undefined): boolean {
  return own !== undefined && own !== needed;
}

/** Ciphertext length of a plaintext: header, plaintext, and a tag for each chunk; the last is short. */
function lengthWhenEncrypted(plaintextLength: number): number {
  const chunks = Math.floor(plaintextLength / cobblestoneChunkBytes) + 1;
  return cobblestoneHeaderBytes + plaintextLength + cobblestoneTagBytes * chunks;
}

function checkSizes(target: Target, ecu: VerifierEcu): Refusal | undefined {
  const { plaintextLength, encryption } = target.mustMatch;
  // CUS-05: the one encryption in use; nothing is ever installed unencrypted
  if (encryption !== cobblestoneFormat) return refuse('target-format', encryption);
  if (plaintextLength > ecu.maxPlaintextBytes || target.length > maxImageBytes) {
    return refuse('target-too-large', `${plaintextLength} bytes for ${ecu.maxPlaintextBytes}`);
  }
  if (target.length !== lengthWhenEncrypted(plaintextLength)) {
    return refuse('target-format', `${target.length} bytes cannot hold ${plaintextLength}`);
  }
  return undefined;
}

function checkReleaseCounter(
  mustMatch: MustMatch,
  ecu: VerifierEcu,
  before: number | undefined,
): Refusal | undefined {
  const release = mustMatch.releaseCounter;
  // FV-15, VIM-04: not below the previous metadata
  if (before !== undefined && release < before) {
    return refuse('target-rollback', `release ${release} after ${before} on ${ecu.ecuId}`);
  }
  // HRD-04: nor below what this ECU ever confirmed, whatever the previous metadata listed
  const least = Math.max(ecu.counter, ecu.installed?.releaseCounter ?? 0);
  if (release < least) {
    const found = `release ${release}, ${ecu.ecuId} has had ${least}`;
    return refuse('target-rollback', found, 'HRD-04');
  }
  return undefined;
}

/** True when length and hashes are equal (non-custom metadata; the filename is what was sought). */
export function sameFile(a: Target, b: Target): boolean {
  if (a.length !== b.length || a.hashes.length !== b.hashes.length) return false;
  // Both lists are in deterministic key order.
  return a.hashes.every(
    (hash, i) => hash.key === b.hashes[i]!.key && sameBytes(hash.value, b.hashes[i]!.value),
  );
}

/** True when the must-match sections are the same bytes. */
export function sameMustMatch(a: Target, b: Target): boolean {
  const left = a.mustMatch.encoded;
  const right = b.mustMatch.encoded;
  return left !== undefined && right !== undefined && sameBytes(left, right);
}

/**
 * The two repositories' entries for one filename must agree.
 * @returns codes `target-mismatch`, `target-must-match`
 */
export function checkAgreement(director: Target, image: Target): Refusal | undefined {
  // FV-13: same length, same hashes
  if (director.filename !== image.filename || !sameFile(director, image)) {
    return refuse('target-mismatch', director.filename);
  }
  // FV-14: same must-match section
  return sameMustMatch(director, image)
    ? undefined
    : refuse('target-must-match', director.filename);
}
