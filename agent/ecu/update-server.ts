/**
 * The UDS services of a Secondary: which identifier, routine and transfer means which step of an
 * update session (docs/POUF.md §4, in-vehicle messages).
 *
 * Anybody on the bus may read the status. Everything else needs the programming session and a proof
 * of the Primary's key, made in that very session.
 */

import {
  fileMode,
  negative,
  reset,
  routine,
  service,
  sessionParameters,
  session as sessions,
} from '../can/uds.ts';
import { UdsAuthentication } from '../can/uds-authentication.ts';
import type { UdsHandlers, UdsOutcome, UdsRequester } from '../can/uds-handlers.ts';
import {
  type DownloadRequest,
  encodeDownloadGrant,
  encodeFileTransferGrant,
  type FileTransferRequest,
} from '../can/uds-transfer-format.ts';
import type { PublicKey } from '../codec/cose-key.ts';
import { decode, encode, type Schema } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxUdsBlockBytes, maxUdsMessageBytes } from '../limits.ts';
import {
  acknowledgement,
  activationRequest,
  addressesPerEcu,
  cobblestoneDataFormat,
  dataIdentifiers,
  installationRequest,
  nonceMessage,
  reportsMessage,
  routineResult,
  routines,
  statusMessage,
  suppliedFile,
  trialRequest,
  verificationStep,
} from '../metadata/vehicle-messages.ts';
import { verifyAccess } from './access.ts';
import type { EcuState } from './start-up.ts';
import { refusalMessage, UpdateSession } from './update-session.ts';

export class UpdateServer implements Partial<UdsHandlers> {
  private readonly session: UpdateSession;
  private readonly access: UdsAuthentication;
  private readonly maxBlockBytes: number;
  private activeSession: number = sessions.default;

  /** @param primaryKey the Primary's signing key, as it was provisioned */
  constructor(state: EcuState, primaryKey: PublicKey) {
    this.session = new UpdateSession(state);
    const { crypto, random } = state.hal;
    const { can, vehicleId } = state.configuration;
    this.maxBlockBytes = can.maxBlockBytes ?? maxUdsBlockBytes;
    const { ecuId } = state.ecus[0]!;
    this.access = new UdsAuthentication({
      random: (count) => random.bytes(count),
      verify: (serverChallenge, clientChallenge, proof) => {
        const session = this.activeSession;
        const claim = { vehicleId, ecuId, session, serverChallenge, clientChallenge };
        const proven = verifyAccess(crypto, primaryKey, claim, proof);
        // EVR-04: somebody on the bus passes for the Primary
        if (!proven) state.detections.add(ecuId, refuse('access-denied', 'a wrong proof'));
        return proven;
      },
    });
  }

  /** The status, asked for alone. */
  isForEverybody(request: Uint8Array): boolean {
    return (
      request.length === 3 &&
      request[0] === service.readDataByIdentifier &&
      request[1]! * 256 + request[2]! === dataIdentifiers.status
    );
  }

  testerPresent(): void {
    this.session.heard();
  }

  admit(serviceId: number, activeSession: number): number | undefined {
    this.session.heard();
    // These say nothing that the bus may not know; what identifiers need, their handler knows.
    if (serviceId === service.diagnosticSessionControl) return undefined;
    if (serviceId === service.readDataByIdentifier) return undefined;
    if (activeSession !== sessions.programming) return negative.serviceNotSupportedInActiveSession;
    if (serviceId === service.authentication || this.access.granted) return undefined;
    return negative.authenticationRequired;
  }

  diagnosticSessionControl(newSession: number): UdsOutcome {
    const known = newSession === sessions.default || newSession === sessions.programming;
    return known ? sessionParameters() : negative.subFunctionNotSupported;
  }

  /** A proof holds for the session that it was made in; so does a running installation. */
  sessionChanged(newSession: number): void {
    this.activeSession = newSession;
    this.access.reset();
    this.session.suspend();
  }

  /** The Primary's address has the lower number: an unproven tester cannot keep it out. */
  holdsSession(): boolean {
    return this.access.granted;
  }

  authentication(subFunction: number, parameters: Uint8Array, requester: UdsRequester): UdsOutcome {
    return this.access.handle(subFunction, parameters, requester);
  }

  readDataByIdentifier(identifier: number): UdsOutcome {
    const { session } = this;
    if (identifier === dataIdentifiers.status) return encode(statusMessage, session.status());
    // A nonce forgets the one before, reports wear the flash: neither is for everybody.
    const known = identifier === dataIdentifiers.nonce || identifier === dataIdentifiers.reports;
    if (known && !this.access.granted) return negative.authenticationRequired;
    switch (identifier) {
      case dataIdentifiers.nonce:
        return encode(nonceMessage, session.newNonce());
      case dataIdentifiers.reports:
        return encode(reportsMessage, session.reports());
      default:
        return negative.requestOutOfRange;
    }
  }

  /** Signatures, digests and records take a small ECU longer than P2: always 0x78 first. */
  routineControl(control: number, identifier: number, option: Uint8Array): UdsOutcome {
    if (control !== routine.start) return negative.subFunctionNotSupported;
    return { pending: () => this.runRoutine(identifier, option) };
  }

  private runRoutine(identifier: number, option: Uint8Array): UdsOutcome {
    const { session } = this;
    switch (identifier) {
      case routines.checkTime:
        return result(session.checkTime(option));
      case routines.startVerification:
        return encode(verificationStep, session.startVerification());
      case routines.startOfflineVerification:
        return encode(verificationStep, session.startOfflineVerification());
      case routines.supplyFile:
        return this.with(suppliedFile, option, ({ content }) =>
          encode(verificationStep, session.supplyFile(content)),
        );
      case routines.prepareInstallation:
        return this.with(installationRequest, option, ({ ecuId, keyObject }) => {
          const offset = session.prepare(ecuId, keyObject);
          if (isRefusal(offset)) return result(offset);
          return encode(routineResult, { resumeOffset: offset });
        });
      case routines.activate:
        return this.with(activationRequest, option, ({ ecuId, hold = false }) =>
          result(session.activate(ecuId, hold)),
        );
      case routines.commitTrial:
        return this.with(trialRequest, option, ({ ecuId }) => result(session.commitTrial(ecuId)));
      case routines.withdrawTrial:
        return this.with(trialRequest, option, ({ ecuId }) => result(session.withdrawTrial(ecuId)));
      case routines.acknowledgeReports:
        return this.with(acknowledgement, option, (accepted) => {
          session.acknowledge(accepted);
          return result(undefined);
        });
      default:
        return negative.requestOutOfRange;
    }
  }

  /** Accepts only the image that `prepareInstallation` announced, and from its beginning. */
  requestDownload(request: DownloadRequest): UdsOutcome {
    const expected = this.session.expected();
    if (expected === undefined || expected.offset > 0) return negative.conditionsNotCorrect;
    if (
      request.dataFormat !== cobblestoneDataFormat ||
      request.address !== expected.index * addressesPerEcu ||
      request.size !== expected.length
    ) {
      return negative.requestOutOfRange;
    }
    this.session.startPull();
    return encodeDownloadGrant(this.maxBlockBytes);
  }

  /** Goes on with that image where it stopped: after a lost block, or after a restart. */
  requestFileTransfer(request: FileTransferRequest): UdsOutcome {
    const expected = this.session.expected();
    if (expected === undefined) return negative.conditionsNotCorrect;
    if (
      request.mode !== fileMode.resumeFile ||
      request.path !== expected.ecuId ||
      request.dataFormat !== cobblestoneDataFormat ||
      request.uncompressedSize !== expected.length ||
      request.compressedSize !== expected.length
    ) {
      return negative.requestOutOfRange;
    }
    this.session.startPull();
    return encodeFileTransferGrant(request, this.maxBlockBytes, expected.offset);
  }

  transferData(block: Uint8Array): UdsOutcome {
    const { session } = this;
    if (session.write(block) !== undefined) return negative.generalProgrammingFailure;
    // The next block is received while the part still writes this one; the answer only waits when
    // the part is so far behind that the next one would find no buffer.
    if (session.hasRoom) return new Uint8Array(0);
    return { ready: () => session.hasRoom, pending: () => new Uint8Array(0) };
  }

  /** The part finishes first; then the digest over a large slot takes its time: 0x78 before it. */
  requestTransferExit(): UdsOutcome {
    const { session } = this;
    const check = { pending: () => result(session.finish()) };
    return session.idle ? check : { ready: () => session.idle, pending: () => check };
  }

  /** The program restarts when the answer has left. */
  ecuReset(kind: number): UdsOutcome {
    return kind === reset.hard ? new Uint8Array(0) : negative.subFunctionNotSupported;
  }

  private with<T>(schema: Schema<T>, option: Uint8Array, act: (value: T) => Uint8Array) {
    const value = decode(schema, option, maxUdsMessageBytes);
    return isRefusal(value) ? result(value) : act(value);
  }
}

function result(refusal: Refusal | undefined): Uint8Array {
  return encode(routineResult, refusal === undefined ? {} : { refusal: refusalMessage(refusal) });
}
