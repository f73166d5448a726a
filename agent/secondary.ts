/**
 * The Secondary's program: a UDS server through which the Primary hands over time, metadata, key
 * objects and images. Nothing is believed because the Primary said it: this ECU verifies again.
 */
import type { Hal } from '../hal/types.ts';
import { LinkDriver } from './can/link-driver.ts';
import { positiveOffset, service } from './can/uds.ts';
import { UdsServer } from './can/uds-server.ts';
import { UdsServerLink } from './can/uds-server-link.ts';
import { isRefusal, refuse } from './codes.ts';
import { agentRelease, openState, settleTrials } from './ecu/start-up.ts';
import { UpdateServer } from './ecu/update-server.ts';
import { maxUdsMessageBytes } from './limits.ts';

/** The last frame of the answer leaves the platform's buffers before the restart. */
const resetDelayMilliseconds = 20;

/** Starts the program; it runs until the platform restarts it. */
export function start(hal: Hal): void {
  const state = openState(hal);
  if (isRefusal(state)) {
    hal.board.log(`refused code=${state.refused} detail=${state.detail}`);
    return;
  }
  settleTrials(state);
  const { can } = state.configuration;
  if (can.address === undefined) {
    const refusal = refuse('configuration-invalid', 'a Secondary needs its address on the bus');
    hal.board.log(`refused code=${refusal.refused} detail=${refusal.detail}`);
    return;
  }
  const server = new UdsServerLink({
    server: new UdsServer(new UpdateServer(state)),
    transmitId: can.address.responseId,
    receiveId: can.address.requestId,
    extended: can.address.extended,
    flexibleData: can.flexibleData,
    maxMessageBytes: maxUdsMessageBytes,
    onAnswered: (response) => {
      if (response[0] === service.ecuReset + positiveOffset) {
        hal.clock.after(resetDelayMilliseconds, () => hal.board.reboot());
      }
    },
  });
  const filters = [can.address.requestId];
  const { port } = can;
  new LinkDriver({ can: hal.can, clock: hal.clock, port, filters }).add(server);
  hal.board.log(`ready ecu=${state.ecus[0]!.ecuId} release=${agentRelease}`);
}
