/**
 * An ECU for the bus scenarios, a process of its own: takes a download over UDS and answers the
 * exit with the SHA-256 of what arrived. Usage: can-ecu.ts <bus address>; ends with its stdin.
 */
import { createHash } from 'node:crypto';
import { LinkDriver } from '../../agent/can/link-driver.ts';
import { UdsServer } from '../../agent/can/uds-server.ts';
import { UdsServerLink } from '../../agent/can/uds-server-link.ts';
import { encodeDownloadGrant } from '../../agent/can/uds-transfer-format.ts';
import { maxUdsBlockBytes, maxUdsMessageBytes } from '../../agent/limits.ts';
import { createEmulatedCan } from '../../hal/emulated/can.ts';
import { createNodeClock } from '../../hal/node/clock.ts';

const nothing = new Uint8Array(0);
let digest = createHash('sha256');

const server = new UdsServer({
  readDataByIdentifier: (identifier) => (identifier === 0xf18c ? Uint8Array.of(7) : 0x31),
  requestDownload: () => {
    digest = createHash('sha256');
    return encodeDownloadGrant(maxUdsBlockBytes);
  },
  transferData: (block) => {
    digest.update(block);
    return nothing;
  },
  // The end of a transfer takes its time: 0x78 first.
  requestTransferExit: () => ({ pending: () => new Uint8Array(digest.digest()) }),
});

const driver = new LinkDriver({
  can: createEmulatedCan({ can0: process.argv[2]! }),
  clock: createNodeClock(),
  port: 'can0',
  onError: () => process.exit(1),
});
driver.add(
  new UdsServerLink({
    transmitId: 0x701,
    receiveId: 0x700,
    extended: false,
    flexibleData: true,
    maxMessageBytes: maxUdsMessageBytes,
    server,
  }),
);
process.stdin.on('end', () => process.exit(0)).resume();
