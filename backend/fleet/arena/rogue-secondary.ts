/**
 * A Secondary under the attacker's will: answers the real Primary on the bus in place of the real
 * one, with reports of its making, or what else it calls so.
 */
import { randomBytes } from 'node:crypto';
import { LinkDriver } from '../../../agent/can/link-driver.ts';
import { negative, sessionParameters } from '../../../agent/can/uds.ts';
import { UdsAuthentication } from '../../../agent/can/uds-authentication.ts';
import type { UdsHandlers } from '../../../agent/can/uds-handlers.ts';
import { UdsServer } from '../../../agent/can/uds-server.ts';
import { UdsServerLink } from '../../../agent/can/uds-server-link.ts';
import { encode } from '../../../agent/codec/schema.ts';
import { maxUdsMessageBytes, nonceBytes } from '../../../agent/limits.ts';
import {
  dataIdentifiers,
  nonceMessage,
  routineResult,
  routines,
  verificationStep,
} from '../../../agent/metadata/vehicle-messages.ts';
import { createEmulatedCan } from '../../../hal/emulated/can.ts';
import { createNodeClock } from '../../../hal/node/clock.ts';
import { agentLayouts, canPort } from '../vehicle-layout.ts';

/** Its answers may go beyond what its Primary takes. */
const maxAnswerBytes = 2 * maxUdsMessageBytes;

export class RogueSecondary {
  private readonly driver: LinkDriver;

  /** @param reports what it answers with as its reports, made anew for each time that it is asked */
  constructor(busAddress: string, reports: () => Uint8Array) {
    const { requestId, responseId } = agentLayouts.partial.address!;
    const access = new UdsAuthentication({
      random: (count) => new Uint8Array(randomBytes(count)),
      verify: () => true,
    });
    const handlers: Partial<UdsHandlers> = {
      diagnosticSessionControl: () => sessionParameters(),
      authentication: (subFunction, parameters, requester) =>
        access.handle(subFunction, parameters, requester),
      readDataByIdentifier: (identifier) => {
        if (identifier === dataIdentifiers.nonce) {
          return encode(nonceMessage, new Uint8Array(randomBytes(nonceBytes)));
        }
        if (identifier !== dataIdentifiers.reports) return negative.requestOutOfRange;
        return reports();
      },
      routineControl: (_control, identifier) =>
        identifier === routines.startVerification
          ? encode(verificationStep, { assignments: [] })
          : encode(routineResult, {}),
    };
    this.driver = new LinkDriver({
      can: createEmulatedCan({ [canPort]: busAddress }),
      clock: createNodeClock(),
      port: canPort,
      filters: [requestId],
    });
    this.driver.add(
      new UdsServerLink({
        server: new UdsServer(handlers, maxAnswerBytes),
        transmitId: responseId,
        receiveId: requestId,
        extended: false,
        flexibleData: true,
        maxMessageBytes: maxUdsMessageBytes,
      }),
    );
  }

  close(): void {
    this.driver.close();
  }
}
