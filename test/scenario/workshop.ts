/** A vehicle in a workshop: one real Secondary on a real bus, and testers that talk to it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LinkDriver } from '../../agent/can/link-driver.ts';
import { UdsClient } from '../../agent/can/uds-client.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal } from '../../agent/codes.ts';
import { maxUdsMessageBytes } from '../../agent/limits.ts';
import { storedKeyPair } from '../../agent/metadata/configuration.ts';
import { EmulatedVehicle } from '../../backend/fleet/emulated-vehicle.ts';
import type { ProvisionedAgent } from '../../backend/fleet/provision.ts';
import { createEmulatedCan } from '../../hal/emulated/can.ts';
import { createFileKeyValue } from '../../hal/emulated/key-value.ts';
import { createNodeClock } from '../../hal/node/clock.ts';
import type { KeyPair } from '../../hal/node/signing.ts';
import { until } from './can-bus.ts';
import { manufactureUnconnected } from './unconnected-vehicle.ts';

export interface Workshop {
  /** What the Secondary logged. */
  readonly lines: string[];
  /** What the hub of the bus printed. */
  readonly busLines: string[];
  readonly primaryKey: KeyPair;
  readonly secondary: ProvisionedAgent;
  /** A tester of one's own at an address of the Secondary. */
  tester(at: { readonly requestId: number; readonly responseId: number }): UdsClient;
  ask(client: UdsClient, request: string): Promise<string>;
  stop(): Promise<void>;
}

/**
 * A vehicle whose Primary is switched off: only the Secondary `full` is on the bus, whose hub gets
 * `hubArguments` too.
 */
export async function openWorkshop(...hubArguments: string[]): Promise<Workshop> {
  const folder = mkdtempSync(join(tmpdir(), 'ota-access-'));
  const busAddress = `unix:${join(folder, 'can0.sock')}`;
  const { agents } = await manufactureUnconnected(folder, busAddress);
  const secondary = agents.find((one) => one.layout.name === 'full')!;
  const lines: string[] = [];
  const busLines: string[] = [];
  const events = {
    onLine: (_agent: ProvisionedAgent, line: string) => lines.push(line),
    onFailure: (_agent: ProvisionedAgent, status: number | null) =>
      lines.push(`ended with ${status}`),
  };
  const hub = { arguments: hubArguments, onLine: (line: string) => busLines.push(line) };
  const vehicle = await EmulatedVehicle.powerOn([secondary], busAddress, events, hub);
  await until(() => lines.some((line) => line.startsWith('ready')));
  const drivers: LinkDriver[] = [];
  const stored = createFileKeyValue(agents[0]!.keyValueFolder).read('signing-key/primary')!;
  const primaryKey = decode(storedKeyPair, stored, stored.length);
  if (isRefusal(primaryKey)) throw new Error(primaryKey.detail);
  return {
    lines,
    busLines,
    primaryKey,
    secondary,
    tester({ requestId, responseId }) {
      const can = createEmulatedCan({ can0: busAddress });
      const filters = [responseId];
      const driver = new LinkDriver({ can, clock: createNodeClock(), port: 'can0', filters });
      drivers.push(driver);
      const client = new UdsClient({
        transmitId: requestId,
        receiveId: responseId,
        extended: false,
        flexibleData: true,
        maxMessageBytes: maxUdsMessageBytes,
      });
      driver.add(client);
      return client;
    },
    ask: (client, request) =>
      new Promise((resolve) => {
        client.request(Uint8Array.from(Buffer.from(request, 'hex')), (answer) => {
          resolve(isRefusal(answer) ? answer.detail : Buffer.from(answer).toString('hex'));
        });
      }),
    async stop() {
      for (const driver of drivers) driver.close();
      await vehicle.powerOff();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
