/**
 * A tester on the real bus, with real ECU processes: without the Primary's key it can neither
 * start a verification, nor restart or program a Secondary; with it, it can.
 */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { UdsClient } from '../../agent/can/uds-client.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { SecondaryClient } from '../../agent/primary/secondary-client.ts';
import { agentLayouts, vehicleId } from '../../backend/fleet/vehicle-layout.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import { createNodeRandom } from '../../hal/node/random.ts';
import { generateKeyPair, type KeyPair } from '../../hal/node/signing.ts';
import { until } from './can-bus.ts';
import { openWorkshop } from './workshop.ts';

const test = suite('Update access between processes');
const { address, testerAddress, ecuId } = agentLayouts.full;
const crypto = createNodeCrypto();

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
