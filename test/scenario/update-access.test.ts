/**
 * A tester on the real bus, with real ECU processes: without the Primary's key it can neither
 * start a verification, nor restart or program a Secondary; with it, it can.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LinkDriver } from '../../agent/can/link-driver.ts';
import { UdsClient } from '../../agent/can/uds-client.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { maxUdsMessageBytes } from '../../agent/limits.ts';
import { storedKeyPair } from '../../agent/metadata/configuration.ts';
import { SecondaryClient } from '../../agent/primary/secondary-client.ts';
import { EmulatedVehicle } from '../../backend/fleet/emulated-vehicle.ts';
import { manufactureVehicle, type ProvisionedAgent } from '../../backend/fleet/provision.ts';
import { agentLayouts, vehicleId } from '../../backend/fleet/vehicle-layout.ts';
import { createEmulatedCan } from '../../hal/emulated/can.ts';
import { createFileKeyValue } from '../../hal/emulated/key-value.ts';
import { createNodeClock } from '../../hal/node/clock.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import { createNodeRandom } from '../../hal/node/random.ts';
import { generateKeyPair, type KeyPair } from '../../hal/node/signing.ts';
import { RepositorySimulator } from '../simulator/repository-simulator.ts';
import { until } from './can-bus.ts';

const test = suite('Update access between processes');
const { address, testerAddress, ecuId } = agentLayouts.full;
const crypto = createNodeCrypto();

interface Workshop {
  readonly lines: string[];
  readonly primaryKey: KeyPair;
  readonly secondary: ProvisionedAgent;
  /** A tester of one's own at an address of the Secondary. */
  tester(at: { readonly requestId: number; readonly responseId: number }): UdsClient;
  ask(client: UdsClient, request: string): Promise<string>;
  stop(): Promise<void>;
}

/** A vehicle whose Primary is switched off: only the Secondary `full` is on the bus. */
async function openWorkshop(): Promise<Workshop> {
  const folder = mkdtempSync(join(tmpdir(), 'ota-access-'));
  const sim = new RepositorySimulator('composite');
  const busAddress = `unix:${join(folder, 'can0.sock')}`;
  const unused = { host: '127.0.0.1', port: 1 };
  const { agents } = await manufactureVehicle({
    folder: join(folder, 'vehicle'),
    vehicleId,
    buildFolder: join(folder, 'build'),
    director: unused,
    images: unused,
    directorRoot: sim.director.publishedRoots[0]!,
    imagesRoot: sim.images.publishedRoots[0]!,
    busAddress,
    downloadBytes: 65_536,
    pollMilliseconds: 1_000,
  });
  const secondary = agents.find((one) => one.layout.name === 'full')!;
  const lines: string[] = [];
  const vehicle = await EmulatedVehicle.powerOn([secondary], busAddress, {
    onLine: (_agent, line) => lines.push(line),
    onFailure: (_agent, status) => lines.push(`ended with ${status}`),
  });
  await until(() => lines.some((line) => line.startsWith('ready')));
  const drivers: LinkDriver[] = [];
  const stored = createFileKeyValue(agents[0]!.keyValueFolder).read('signing-key/primary')!;
  const primaryKey = decode(storedKeyPair, stored, stored.length);
  if (isRefusal(primaryKey)) throw new Error(primaryKey.detail);
  return {
    lines,
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

function secondaryClient(client: UdsClient, pair: KeyPair): SecondaryClient {
  const signer = {
    key: pair.key,
    sign: (message: Uint8Array) => crypto.sign('ESP256', pair.secret, message),
  };
  return new SecondaryClient(client, [ecuId], {
    vehicleId,
    signer,
    crypto,
    random: createNodeRandom(),
  });
}

test('without the key nothing is begun, restarted or written; with it the ECU obeys', async () => {
  const workshop = await openWorkshop();
  const { ask, lines, primaryKey, secondary } = workshop;
  try {
    const { flashFile } = secondary.ecus[0]!;
    const before = readFileSync(flashFile);
    for (const at of [address!, testerAddress!]) {
      const stranger = workshop.tester(at);
      assert.match(await ask(stranger, '1101'), '0x7f');
      assert.match(await ask(stranger, '1002'), /^5002/);
      for (const request of ['1101', '3101fd11', '3101fd1000', '34011100100001', '3601aa', '37']) {
        assert.match(await ask(stranger, request), 'authenticationRequired (0x34)', request);
      }
      assert.match(await ask(stranger, '22fd03'), /^62fd03/);
      const forger = secondaryClient(stranger, generateKeyPair('ESP256'));
      const refused = (await forger.startVerification()) as Refusal;
      assert.match(refused.detail, 'ownershipVerificationFailed (0x58)');
      assert.match(((await forger.reset()) as Refusal).detail, '0x58');
      assert.match(await ask(stranger, '1001'), /^5001/);
    }
    assert.equal(readFileSync(flashFile), before);
    assert.equal(lines.filter((line) => line.startsWith('boot')).length, 1);
    assert.not.ok(lines.some((line) => line.startsWith('refused')));

    const primary = secondaryClient(workshop.tester(address!), primaryKey);
    const step = await primary.startVerification();
    assert.ok(!isRefusal(step) && step.ask !== undefined, JSON.stringify(step));

    // The session is the Primary's now: the workshop's tester has to wait, and disturbs nothing.
    const second = workshop.tester(testerAddress!);
    assert.match(await ask(second, '1002'), 'busyRepeatRequest (0x21)');
    assert.match(await ask(second, '1101'), 'busyRepeatRequest (0x21)');
    assert.not.ok(isRefusal(await primary.nonce()));

    assert.is(await primary.reset(), undefined);
    await until(() => lines.filter((line) => line.startsWith('ready')).length === 2);
    // A restart has forgotten the session; the Primary opens another one by itself.
    assert.not.ok(isRefusal(await primary.nonce()));
  } finally {
    await workshop.stop();
  }
});

test.run();
