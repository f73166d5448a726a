/** The Primary's side of a Secondary's UDS server in one process: sessions and proofs (0x29). */
import {
  decodeChallenge,
  encodeChallengeRequest,
  encodeOwnershipProof,
} from '../../../agent/can/uds-authentication.ts';
import { UdsServer } from '../../../agent/can/uds-server.ts';
import { isRefusal } from '../../../agent/codes.ts';
import type { Signer } from '../../../agent/crypto/sign-envelope.ts';
import { type AccessClaim, proveAccess } from '../../../agent/ecu/access.ts';
import { UpdateServer } from '../../../agent/ecu/update-server.ts';
import type { KeyPair } from '../../../hal/node/signing.ts';
import { vehicleId } from '../../simulator/repository-simulator.ts';
import { bytesOf, hex } from '../can/virtual-wire.ts';
import { crypto } from '../install/rig.ts';
import { type EcuRig, ecuId } from './ecu-rig.ts';

/** The server of a Secondary that has just started. */
export function serverOf(rig: EcuRig): UdsServer {
  return new UdsServer(new UpdateServer(rig.start(), rig.primaryKey.key));
}

/** Asks in hexadecimal and answers so; pending work is done at once. */
export function ask(server: UdsServer, request: string, nowMs = 0, tester = 0): string {
  let reply = server.handle(bytesOf(request), { tester, nowMs });
  while (reply.pending !== undefined) reply = reply.pending();
  return reply.response === undefined ? 'silent' : hex(reply.response);
}

export function signerOf(pair: KeyPair): Signer {
  return { key: pair.key, sign: (message) => crypto.sign('ESP256', pair.secret, message) };
}

export interface ProofOptions {
  readonly pair: KeyPair;
  readonly nowMs?: number;
  readonly tester?: number;
  /** What the proof is made for, where it differs from the truth. */
  readonly claim?: Partial<AccessClaim>;
}

/** 0x29 05, then 0x29 06 with a proof; the answer to the last request that was answered well. */
export function prove(server: UdsServer, options: ProofOptions): string {
  const { nowMs = 0, tester = 0 } = options;
  const answer = ask(server, hex(encodeChallengeRequest()), nowMs, tester);
  if (answer.startsWith('7f')) return answer;
  const serverChallenge = decodeChallenge(bytesOf(answer));
  if (isRefusal(serverChallenge)) throw new Error(serverChallenge.detail);
  const clientChallenge = new Uint8Array(32).fill(7);
  const proof = proveAccess(crypto, signerOf(options.pair), {
    vehicleId,
    ecuId,
    session: 2,
    serverChallenge,
    clientChallenge,
    ...options.claim,
  });
  return ask(server, hex(encodeOwnershipProof(proof, clientChallenge)), nowMs, tester);
}

/** Programming session and proof, as the Primary does it. */
export function authenticate(rig: EcuRig, server: UdsServer, nowMs = 0): void {
  const session = ask(server, '1002', nowMs);
  if (!session.startsWith('5002')) throw new Error(`session: ${session}`);
  const proven = prove(server, { pair: rig.primaryKey, nowMs });
  if (!proven.startsWith('690612')) throw new Error(`proof: ${proven}`);
}
