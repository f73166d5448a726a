/**
 * A backend whose online keys are half in a PKCS#11 token (SoftHSM), made there by the ceremony: under
 * load while the module's process is ended, and with a real vehicle, before and after a key rotation.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { encode } from '../../agent/codec/schema.ts';
import { isRefusal } from '../../agent/codes.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { timeRequest } from '../../agent/metadata/time.ts';
import { ceremonyDefaults, holdCeremony } from '../../backend/cli/ceremony.ts';
import { loadRoot } from '../../backend/cli/trusted-root.ts';
import { defaultLifetimes } from '../../backend/configuration.ts';
import { hostedEcuId, hostedHardwareId } from '../../backend/fleet/vehicle-layout.ts';
import { type Backend, startBackend } from '../../backend/server.ts';
import { defaultQuotas } from '../../backend/settings.ts';
import { Token } from '../../backend/signer/pkcs11/token.ts';
import { roleAuthority } from '../../backend/signer/root-trust.ts';
import { call, codeOf, crypto, opened, operatorToken } from './backend-fixture.ts';
import { helpersOf, TestToken, whyNoToken } from './softhsm.ts';
import { VehicleFixture } from './vehicle-fixture.ts';

const test = suite('backend with a token');
const missing = whyNoToken();
const passphrase = 'a passphrase of the tests';
const vehicleId = 'token-vehicle-1';

if (missing !== undefined) {
  console.log(`skipped: 3 a backend with its keys in a PKCS#11 token: ${missing}`);
} else {
  const device = new TestToken();
  const folder = mkdtempSync(join(tmpdir(), 'ota-token-'));
  const keysFolder = join(folder, 'keys');
  test.after(() => {
    device.remove();
    rmSync(folder, { recursive: true });
  });

  const start = (token = device.settings) =>
    startBackend({
      stateFolder: join(folder, 'state'),
      ...{ keysFolder, passphrase, token, operatorToken, host: '127.0.0.1', logLevel: 'silent' },
      ...{ ports: { director: 0, images: 0, operator: 0 } },
      ...{ lifetimes: defaultLifetimes, quotas: defaultQuotas },
    });

  test('the ceremony makes the halves of all signing keys in the token', async () => {
    const token = new Token(device.settings, { writable: true });
    const made = opened(
      await holdCeremony({
        ...ceremonyDefaults,
        ...{ folder: keysFolder, passphrase, token, now: Math.floor(Date.now() / 1_000) },
        keyFile: { cost: 16 },
      }),
    );
    token.close();
    const inToken = made.keys.filter((key) => key.inToken).map(({ name }) => name);
    assert.equal(inToken, [
      'director-targets',
      'director-snapshot',
      'director-timestamp',
      'director-time',
      'images-snapshot',
      'images-timestamp',
      'enrolment-ca-1',
    ]);
  });

  test('under load, the end of the module is a 503 that ends by itself; what is signed is valid', async () => {
    const backend: Backend = opened(await start());
    try {
      const body = encode(timeRequest, [new Uint8Array(16)]);
      const { root } = opened(await loadRoot(crypto, keysFolder, 'director'));
      const authority = opened(roleAuthority(crypto, root, 'time'));
      const codes = new Map<string, number>();
      let asked = 0;
      const ask = async () => {
        const answer = await call(backend.ports.director, '/time', { method: 'POST', body });
        const code = codeOf(answer);
        codes.set(code, (codes.get(code) ?? 0) + 1);
        if (code !== '200') {
          assert.match(String(answer.headers['retry-after']), /^[0-9]+$/);
          return false;
        }
        const envelope = opened(decodeEnvelope(answer.body, answer.body.length));
        assert.is(verifyEnvelope(crypto, envelope, authority, { domain: 'time' }), undefined);
        return true;
      };
      // Two ends, each in the middle of the others' requests.
      const ends = [40, 90];
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          while (asked < 150) {
            asked += 1;
            if (ends.includes(asked)) {
              const [helper] = helpersOf(process.pid);
              if (helper !== undefined) process.kill(helper, 'SIGKILL');
            }
            await ask();
          }
        }),
      );
      assert.ok((codes.get('503 signer-unavailable') ?? 0) > 0, JSON.stringify([...codes]));
      assert.equal([...codes.keys()].sort(), ['200', '503 signer-unavailable']);
      for (let i = 0; i < 5; i++) assert.is(await ask(), true, 'it signs again by itself');
    } finally {
      await backend.close();
    }
    // None is left behind; the system takes a moment to clear away.
    while (helpersOf(process.pid).length > 0) await new Promise((done) => setTimeout(done, 20));
    const refused = await start({ ...device.settings, pin: 'not-the-pin' });
    assert.is(isRefusal(refused) && refused.refused, 'token-pin-refused');
  });

  test('a real vehicle takes updates that the token has signed, also by a key that followed', async () => {
    const own = new TestToken();
    const ecu = { ecuId: hostedEcuId('full'), hardwareId: hostedHardwareId };
    const fixture = await VehicleFixture.start({
      vehicleId,
      hosted: { on: 'full', imageBytes: 20_000 },
      downloadBytes: 1_048_576,
      environment: own.environment,
    });
    try {
      const { operator, lines } = fixture;
      const keysOf = async () => {
        const told = await operator.ota('token', '--json');
        const { keys } = JSON.parse(told) as { keys: { name: string; state: string }[] };
        return Object.fromEntries(keys.map(({ name, state }) => [name, state]));
      };
      const half = 'half in the token';
      const before = await keysOf();
      assert.is(before['director-wrapping'], 'wholly in its file');
      assert.is(before['enrolment-ca-1'], half);
      assert.is(before['director-timestamp'], half);
      const update = async (release: number) => {
        const path = join(fixture.folder, 'build', `${release}.bin`);
        writeFileSync(path, `firmware of ${release}`);
        const filename = await fixture.publish(ecu, path, release, 'opaque');
        const pair = ['--ecu', ecu.ecuId, '--image', filename];
        await operator.ota('assign', '--vehicle', vehicleId, ...pair);
        const wanted = `full confirmed ecu=${ecu.ecuId} release=${release}`;
        await fixture.until(() => lines.includes(wanted));
      };
      await update(2);
      // The server goes on with a new process of the module …
      const [helper] = helpersOf(fixture.backend.id!);
      process.kill(helper!, 'SIGKILL');
      // … and by another key, whose forerunner is no more.
      for (const role of ['timestamp', 'targets']) {
        await operator.ota('root', 'rotate', '--repository', 'director', '--role', role);
      }
      assert.equal(await keysOf(), before);
      assert.is(own.keyCount(), Object.values(before).filter((state) => state === half).length);
      await update(3);
    } finally {
      await fixture.stop();
      own.remove();
    }
  });
}

test.run();
