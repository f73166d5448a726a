/**
 * The Secondary's program: a UDS server through which the Primary hands over time, metadata, key
 * objects and images. Nothing is believed because the Primary said it: this ECU verifies again.
 * Nobody else is let in (service 0x29); a workshop's tester has an address of its own to ask.
 */
import type { Hal } from '../hal/types.ts';
import { LinkDriver } from './can/link-driver.ts';
import { positiveOffset, service } from './can/uds.ts';
import { UdsServer } from './can/uds-server.ts';
import { UdsServerLink } from './can/uds-server-link.ts';
import { isRefusal, refuse } from './codes.ts';
import { agentRelease, logRefusal, openState, settleTrials } from './ecu/start-up.ts';
import { UpdateServer } from './ecu/update-server.ts';
import { BootBlock } from './install/boot-block.ts';
import { maxUdsMessageBytes } from './limits.ts';
import type { CanAddress } from './metadata/configuration.ts';

/** The last frame of the answer leaves the platform's buffers before the restart. */
const resetDelayMilliseconds = 20;

/** A platform opens its boot record by this program's own code: it lies in memory once. */
export { BootBlock, isRefusal };

/** Starts the program; it runs until the platform restarts it. */
export function start(hal: Hal): void {
  const state = openState(hal);
  if (isRefusal(state)) {
    logRefusal(hal, state);
    return;
  }
  settleTrials(state);
  const { can, primaryKey } = state.configuration;
  if (can.address === undefined || primaryKey === undefined) {
    const needs = "a Secondary needs its address on the bus and the Primary's key";
    const refusal = refuse('configuration-invalid', needs);
    logRefusal(hal, refusal);
    return;
  }
  const server = new UdsServer(new UpdateServer(state, primaryKey));
  const linkAt = (address: CanAddress, tester: number) =>
    new UdsServerLink({
      server,
      tester,
      transmitId: address.responseId,
      receiveId: address.requestId,
      extended: address.extended,
      flexibleData: can.flexibleData,
      maxMessageBytes: maxUdsMessageBytes,
      onAnswered: (response) => {
        if (response[0] === service.ecuReset + positiveOffset) {
          hal.clock.after(resetDelayMilliseconds, () => hal.board.reboot());
        }
      },
    });
  const addresses = can.testerAddress === undefined ? [] : [can.testerAddress];
  addresses.unshift(can.address);
  const filters = addresses.map(({ requestId }) => requestId);
  const driver = new LinkDriver({ can: hal.can, clock: hal.clock, port: can.port, filters });
  for (let i = 0; i < addresses.length; i++) driver.add(linkAt(addresses[i]!, i));
  // Whoever reads that this ECU is ready may ask it at once.
  driver.whenJoined(() => {
    hal.board.log(`ready ecu=${state.ecus[0]!.ecuId} release=${agentRelease()}`);
  });
}
