/** ATK-06: putting repositories or the bus out of service. Clients back off, old software runs on. */
import { failedCyclesReported } from '../../../../agent/limits.ts';
import { createEmulatedCan } from '../../../../hal/emulated/can.ts';
import type { CanPort } from '../../../../hal/types.ts';
import { agentLayouts, canPort } from '../../vehicle-layout.ts';
import { failedCycles } from '../attacker-tools.ts';
import type { StandardAttack } from '../variant.ts';

const floodFrames = 2_000;
/** A vehicle that does not back off sends a request in every poll interval, and many more. */
const mostRequests = 40;

/** Writes garbage to a Secondary's identifier as fast as the bus takes it. */
function flood(busAddress: string): Promise<void> {
  const identifier = agentLayouts.partial.address!.requestId;
  return new Promise((resolve) => {
    let left = floodFrames;
    const more = (port: CanPort) => {
      for (; left > 0 && port.writable > 0; left--) {
        const data = new Uint8Array(8).fill(left % 256);
        port.write({
          identifier,
          extended: false,
          flexibleData: false,
          bitRateSwitch: false,
          data,
        });
      }
      if (left > 0) return;
      port.close();
      resolve();
    };
    const port = createEmulatedCan({ [canPort]: busAddress }).open({
      port: canPort,
      filters: [],
      onReadable: () => undefined,
      onWritable: () => more(port),
    });
    more(port);
  });
}

export const denialOfService: StandardAttack = {
  id: 'ATK-06',
  name: 'denial-of-service',
  variants: [
    {
      position: 'outside',
      does: 'has both repositories answer 503 to everything',
      outcome: 'tried again with growing pauses',
      named: { by: 'primary', code: 'http-status', row: 'VER-01' },
      async attack(arena) {
        const before = arena.requests.length;
        arena.intercept = async () => ({ status: 503, headers: {}, body: new Uint8Array(0) });
        await failedCycles(arena, failedCyclesReported);
        const sent = arena.requests.length - before;
        if (sent > mostRequests) throw new Error(`${sent} requests to a server out of service`);
        arena.intercept = undefined;
        await arena.restartPrimary();
      },
    },
    {
      position: 'inside',
      does: `floods a Secondary with ${floodFrames} frames while it is updated`,
      outcome: 'updated all the same',
      async attack(arena) {
        await Promise.all([flood(arena.busAddress), arena.updates.awaitUpdate()]);
      },
    },
  ],
  elsewhere: {
    'director-keys': 'keys sign, they stop nothing: as from outside',
    'image-keys': 'keys sign, they stop nothing: as from outside',
    primary: 'it can be silent, ATK-02, or slow, ATK-03',
    secondary: 'on the bus it can do what anybody inside can',
  },
};
