/**
 * The self-test of a program that came over the air (kind `runtime`), made by the agent that it runs:
 * whether the two can do together what the next update needs (INS-13).
 */
import { isRefusal } from '../codes.ts';
import { loadRoot, partialRoles } from '../verify/root.ts';
import { verificationContext } from './ecu-time.ts';
import type { ManagedEcu } from './managed-ecu.ts';
import type { EcuState } from './start-up.ts';

/**
 * True when the running program is the release of `ecu`'s image, verifies the signatures of the
 * trusted Root, signs a report, and opens the bus. Where it cannot, the platform may also end the
 * program here: that ends the trial as well.
 */
export function testRuntime(state: EcuState, ecu: ManagedEcu): boolean {
  const { hal, configuration, ecus } = state;
  if (hal.runtime?.release !== ecu.running?.releaseCounter) return false;
  if (isRefusal(loadRoot(verificationContext(state), 'director', partialRoles))) return false;
  if (ecus[0]!.signer.sign(new Uint8Array(32)).length !== 64) return false;
  const { port } = configuration.can;
  hal.can.open({ port, filters: [], onReadable: () => undefined }).close();
  return true;
}
