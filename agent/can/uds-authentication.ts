/**
 * Service 0x29, Authentication, by challenge and response with asymmetric cryptography ("ACR",
 * ISO 14229-1:2020, §10.6): the server's rules and both sides' messages.
 *
 * A challenge answers one proof at most. Wrong proofs are counted for each tester by itself, so
 * that one who guesses cannot lock another one out.
 */
import { type Refusal, refuse } from '../codes.ts';
import {
  authenticationChallengeBytes,
  authenticationDelayMilliseconds,
  maxAuthenticationAttempts,
  maxAuthenticationProofBytes,
} from '../limits.ts';
import { authentication, negative, service, writeUnsigned } from './uds.ts';
import type { UdsOutcome, UdsRequester } from './uds-handlers.ts';

/** authenticationReturnParameter (table B.5). */
const returned = {
  challengeResponseAsymmetric: 0x03,
  requestAccepted: 0x00,
  deAuthenticated: 0x10,
  ownershipVerified: 0x12,
} as const;

/**
 * algorithmIndicator: the BER encoding of ecdsa-with-SHA256 (1.2.840.10045.4.3.2), padded with
 * zeros to 16 bytes.
 */
const algorithmIndicator = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const algorithmBytes = 16;

export interface UdsAuthenticationOptions {
  /** `count` bytes that nobody can foresee. */
  readonly random: (count: number) => Uint8Array;
  /** True when `proof` proves that its maker holds the key, with these challenges. */
  readonly verify: (
    serverChallenge: Uint8Array,
    clientChallenge: Uint8Array,
    proof: Uint8Array,
  ) => boolean;
}

export class UdsAuthentication {
  private readonly options: UdsAuthenticationOptions;
  /** Sent and not answered yet. */
  private challenge: Uint8Array | undefined;
  private proven = false;
  /** By number of the tester: wrong proofs, and until when it has to wait. */
  private readonly failures: { [tester: number]: number } = {};
  private readonly lockedUntil: { [tester: number]: number } = {};

  constructor(options: UdsAuthenticationOptions) {
    this.options = options;
  }

  /** The tester of the active session has proven who it is. */
  get granted(): boolean {
    return this.proven;
  }

  /** Forgets the proof and the challenge: another session, S3, a restart. */
  reset(): void {
    this.proven = false;
    this.challenge = undefined;
  }

  /** Answers the service; `parameters` follow the sub-function. */
  handle(subFunction: number, parameters: Uint8Array, requester: UdsRequester): UdsOutcome {
    switch (subFunction) {
      case authentication.deAuthenticate:
        if (parameters.length > 0) return negative.incorrectMessageLengthOrInvalidFormat;
        this.reset();
        return new Uint8Array([returned.deAuthenticated]);
      case authentication.configuration:
        if (parameters.length > 0) return negative.incorrectMessageLengthOrInvalidFormat;
        return new Uint8Array([returned.challengeResponseAsymmetric]);
      case authentication.requestChallenge:
        return this.sendChallenge(parameters, requester);
      case authentication.verifyProofOfOwnership:
        return this.judge(parameters, requester);
      default:
        return negative.subFunctionNotSupported;
    }
  }

  private sendChallenge(parameters: Uint8Array, requester: UdsRequester): UdsOutcome {
    if (parameters.length !== 1 + algorithmBytes) {
      return negative.incorrectMessageLengthOrInvalidFormat;
    }
    // communicationConfiguration: this server offers no secured communication afterwards.
    if (parameters[0] !== 0 || !namesAlgorithm(parameters, 1)) return negative.requestOutOfRange;
    const until = this.lockedUntil[requester.tester];
    if (until !== undefined && requester.nowMs < until) return negative.requiredTimeDelayNotExpired;
    this.proven = false;
    this.challenge = this.options.random(authenticationChallengeBytes);
    const answer = new Uint8Array(1 + algorithmBytes + 2 + this.challenge.length + 2);
    answer[0] = returned.requestAccepted;
    writeAlgorithm(answer, 1);
    writeField(answer, 1 + algorithmBytes, this.challenge);
    return answer;
  }

  private judge(parameters: Uint8Array, { tester, nowMs }: UdsRequester): UdsOutcome {
    const proof = readField(parameters, algorithmBytes);
    if (proof === undefined) return negative.incorrectMessageLengthOrInvalidFormat;
    const clientChallenge = readField(parameters, algorithmBytes + 2 + proof.length);
    const end = algorithmBytes + 4 + proof.length + (clientChallenge?.length ?? 0);
    // lengthOfAdditionalParameter: there is none.
    const additional = readField(parameters, end);
    if (
      clientChallenge === undefined ||
      additional === undefined ||
      end + 2 !== parameters.length
    ) {
      return negative.incorrectMessageLengthOrInvalidFormat;
    }
    const { challenge } = this;
    if (challenge === undefined) return negative.requestSequenceError;
    if (
      !namesAlgorithm(parameters, 0) ||
      proof.length === 0 ||
      proof.length > maxAuthenticationProofBytes ||
      clientChallenge.length !== authenticationChallengeBytes
    ) {
      return negative.requestOutOfRange;
    }
    this.challenge = undefined;
    if (!this.options.verify(challenge, clientChallenge, proof)) return this.failed(tester, nowMs);
    this.failures[tester] = 0;
    this.proven = true;
    const answer = new Uint8Array(1 + algorithmBytes + 2);
    answer[0] = returned.ownershipVerified;
    writeAlgorithm(answer, 1);
    return answer;
  }

  private failed(tester: number, nowMs: number): number {
    const failures = (this.failures[tester] ?? 0) + 1;
    this.failures[tester] = Math.min(failures, maxAuthenticationAttempts);
    if (failures < maxAuthenticationAttempts) return negative.ownershipVerificationFailed;
    this.lockedUntil[tester] = nowMs + authenticationDelayMilliseconds;
    return negative.exceedNumberOfAttempts;
  }
}

/** 0x29 05: asks for a challenge. */
export function encodeChallengeRequest(): Uint8Array {
  const request = new Uint8Array(3 + algorithmBytes);
  request[0] = service.authentication;
  request[1] = authentication.requestChallenge;
  writeAlgorithm(request, 3);
  return request;
}

/** The server's challenge in a whole positive answer to 0x29 05. Code `uds-malformed`. */
export function decodeChallenge(response: Uint8Array): Uint8Array | Refusal {
  const challenge = readField(response, 3 + algorithmBytes);
  if (
    challenge === undefined ||
    response[2] !== returned.requestAccepted ||
    !namesAlgorithm(response, 3) ||
    challenge.length !== authenticationChallengeBytes
  ) {
    return refuse('uds-malformed', 'challenge of Authentication');
  }
  return challenge;
}

/** 0x29 06: the proof with the client's own challenge, which it covers too. */
export function encodeOwnershipProof(proof: Uint8Array, clientChallenge: Uint8Array): Uint8Array {
  const end = 2 + algorithmBytes + 2 + proof.length;
  const request = new Uint8Array(end + 2 + clientChallenge.length + 2);
  request[0] = service.authentication;
  request[1] = authentication.verifyProofOfOwnership;
  writeAlgorithm(request, 2);
  writeField(request, 2 + algorithmBytes, proof);
  writeField(request, end, clientChallenge);
  return request;
}

/** True when a whole positive answer to 0x29 06 says that the proof was accepted. */
export function isOwnershipVerified(response: Uint8Array): boolean {
  return response[2] === returned.ownershipVerified;
}

function namesAlgorithm(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < algorithmBytes; i++) {
    if (bytes[at + i] !== (algorithmIndicator[i] ?? 0)) return false;
  }
  return true;
}

function writeAlgorithm(bytes: Uint8Array, at: number): void {
  for (let i = 0; i < algorithmIndicator.length; i++) bytes[at + i] = algorithmIndicator[i]!;
}

/** The field at `at` behind its 2-byte length; undefined when it is cut off. */
function readField(bytes: Uint8Array, at: number): Uint8Array | undefined {
  if (at + 2 > bytes.length) return undefined;
  const end = at + 2 + bytes[at]! * 256 + bytes[at + 1]!;
  return end <= bytes.length ? bytes.subarray(at + 2, end) : undefined;
}

function writeField(bytes: Uint8Array, at: number, field: Uint8Array): void {
  writeUnsigned(bytes, at, 2, field.length);
  bytes.set(field, at + 2);
}
