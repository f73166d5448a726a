/**
 * The online keys in files and in a PKCS#11 token (SoftHSM): one contract for both, then what a token
 * adds: keys that cannot leave it, a PIN that is not used up, and processes and devices that go away.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import { isRefusal } from '../../agent/codes.ts';
import { readKeyFile, readOnlineKeyFile, writeKeyFile } from '../../backend/signer/key-file.ts';
import { keyFileProvider } from '../../backend/signer/key-files.ts';
import {
  type OnlineKeyName,
  onlineKeyNames,
  SignerUnavailable,
  wrappingKeyName,
} from '../../backend/signer/online-keys.ts';
import { Token } from '../../backend/signer/pkcs11/token.ts';
import { helperPath, operations, TokenHelper } from '../../backend/signer/pkcs11/token-helper.ts';
import { makeTokenKey, tokenSigner } from '../../backend/signer/pkcs11/token-keys.ts';
import { generateKeyPair } from '../../hal/node/signing.ts';
import { crypto, opened } from './backend-fixture.ts';
import { addSignerContract, type KeysUnderTest } from './signer-contract.ts';
import { softhsmModule, TestToken, whyNoToken } from './softhsm.ts';

const passphrase = 'of the online keys';
const composite = 'MLDSA65-ECDSA-P256-SHA512';
const root = mkdtempSync(join(tmpdir(), 'ota-signer-'));
let folders = 0;

/** A keys folder whose signature keys are half in the token, where there is one. */
async function keysUnderTest(token?: Token): Promise<KeysUnderTest> {
  const folder = join(root, String(++folders));
  mkdirSync(join(folder, 'online'), { recursive: true });
  const replace = async (name: OnlineKeyName): Promise<PublicKey> => {
    const wraps = name === wrappingKeyName;
    const made =
      token === undefined || wraps
        ? generateKeyPair(wraps ? 'MLKEM768-P256' : composite)
        : opened(await makeTokenKey(token, composite, name));
    writeKeyFile(join(folder, 'online', `${name}.key`), made, passphrase, { cost: 16 });
    return made.key;
  };
  const publicKeys = {} as Record<OnlineKeyName, PublicKey>;
  for (const name of onlineKeyNames) publicKeys[name] = await replace(name);
  const provider = keyFileProvider(crypto, { folder, passphrase, token });
  return { provider, publicKeys, replace };
}

const files = suite('online keys in files');
files.after(() => rmSync(root, { recursive: true }));
addSignerContract(files, () => keysUnderTest());

const tokens = suite('online keys in a token');
const missing = whyNoToken();

if (missing !== undefined) {
  console.log(`skipped: 16 online keys in a PKCS#11 token: ${missing}`);
} else {
  const device = new TestToken();
  const open: Token[] = [];
  const tokenOf = (...given: ConstructorParameters<typeof Token>): Token => {
    const token = new Token(...given);
    open.push(token);
    return token;
  };
  const maker = tokenOf(device.settings, { writable: true });
  tokens.after(() => {
    for (const token of open) token.close();
    device.remove();
  });

  const message = Uint8Array.of(1, 2, 3);
  /** A signer by a fresh key, in a session that is the test's own. */
  const freshSigner = async () => {
    const held = opened(await makeTokenKey(maker, 'ESP256', 'of a test'));
    const token = tokenOf(device.settings);
    const signer = opened(await tokenSigner(crypto, token, held));
    const works = async () =>
      crypto.verify('ESP256', held.key.bytes, message, await signer.sign(message));
    return { held, token, signer, works };
  };
  const outcome = async (work: Promise<unknown>): Promise<string> => {
    try {
      const value = await work;
      return isRefusal(value) ? value.refused : 'done';
    } catch (error) {
      assert.instance(error, SignerUnavailable);
      return 'signer-unavailable';
    }
  };
  /** Until a pause between two attempts is over, whose length is the machine's matter. */
  const becomes = async (wanted: string, ask: () => Promise<string>) => {
    for (let i = 0; i < 600 && (await ask()) !== wanted; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.is(await ask(), wanted);
  };

  addSignerContract(tokens, () => keysUnderTest(maker));

  tokens(
    'the private half is marked never to leave the token, as another tool reads it',
    async () => {
      const { held } = await freshSigner();
      assert.is(opened(await maker.key(held.tokenKey)).guarded, true);
      const id = Buffer.from(held.tokenKey).toString('hex');
      const listed = execFileSync(
        'pkcs11-tool',
        [
          ...['--module', softhsmModule, '--token-label', device.label, '--login'],
          ...['--pin', 'env:TEST_PIN', '--list-objects', '--type', 'privkey', '--id', id],
        ],
        { env: { ...process.env, TEST_PIN: device.pin }, encoding: 'utf8', stdio: 'pipe' },
      );
      assert.match(listed, /Access:\s+sensitive, always sensitive, never extractable, local/);
    },
  );

  tokens('a key that the token would give away is not taken', async () => {
    const id = '0badc0de';
    const tool = ['--module', softhsmModule, '--token-label', device.label, '--login'];
    const making = ['--keypairgen', '--key-type', 'EC:prime256v1', '--extractable', '--id', id];
    execFileSync('pkcs11-tool', [...tool, '--pin', 'env:TEST_PIN', ...making], {
      env: { ...process.env, TEST_PIN: device.pin },
      stdio: 'ignore',
    });
    const tokenKey = new Uint8Array(Buffer.from(id, 'hex'));
    const { point } = opened(await maker.key(tokenKey));
    const key = { algorithm: 'ESP256', bytes: point } as const;
    const held = { key, secret: new Uint8Array(32), tokenKey };
    assert.is(await outcome(tokenSigner(crypto, maker, held)), 'key-file-invalid');
  });

  tokens(
    'the file of such a key opens by its passphrase, and names what is in the token',
    async () => {
      const held = opened(await makeTokenKey(maker, composite, 'of a file'));
      const path = join(root, 'half.key');
      writeKeyFile(path, held, passphrase, { cost: 16 });
      assert.equal(readOnlineKeyFile(path, passphrase), held);
      assert.is(await outcome(Promise.resolve(readKeyFile(path, passphrase))), 'key-file-invalid');
      const wrong = readOnlineKeyFile(path, 'another one');
      assert.is(isRefusal(wrong) && wrong.refused, 'passphrase-wrong');
    },
  );

  tokens('without a token, or with another key in it, a half key is refused by name', async () => {
    const folder = join(root, 'alone');
    mkdirSync(join(folder, 'online'), { recursive: true });
    const path = join(folder, 'online', 'director-time.key');
    const held = opened(await makeTokenKey(maker, composite, 'alone'));
    writeKeyFile(path, held, passphrase, { cost: 16 });
    const alone = await keyFileProvider(crypto, { folder, passphrase }).signer('director-time');
    assert.is(isRefusal(alone) && alone.refused, 'configuration-invalid');
    assert.match(isRefusal(alone) ? alone.detail : '', /director-time.*OTA_PKCS11_MODULE/);
    const other = opened(await makeTokenKey(maker, composite, 'other'));
    const swapped = { ...held, tokenKey: other.tokenKey };
    assert.is(await outcome(tokenSigner(crypto, maker, swapped)), 'key-file-invalid');
    assert.is(await maker.destroy(held.tokenKey), undefined);
    assert.is(await outcome(tokenSigner(crypto, maker, held)), 'key-file-invalid');
  });

  tokens(
    'a wrong PIN is tried once, by whatever restarts the server, until a person logs in',
    async () => {
      const wrong = { ...device.settings, pin: 'not-the-pin' };
      const first = tokenOf(wrong);
      const said = await first.open();
      assert.is(said?.refused, 'token-pin-refused');
      assert.not.match(said?.detail ?? '', /not-the-pin/);
      assert.is(first.attempts, 1);
      for (let i = 0; i < 15; i++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        assert.is((await first.open())?.refused, 'token-pin-refused');
      }
      assert.is(first.attempts, 1, 'not tried again');
      // Another server, even with the right PIN, leaves the rest of the tries to a person.
      const next = tokenOf(device.settings);
      assert.is((await next.open())?.refused, 'token-pin-refused');
      assert.is(next.attempts, 0);
      const person = tokenOf(device.settings, { byPerson: true });
      assert.is(await person.open(), undefined);
      await becomes('opened', async () => (await next.open())?.refused ?? 'opened');
    },
  );

  tokens(
    'the process of the module is ended under load: what waited fails, the next signs',
    async () => {
      const { token, signer, works } = await freshSigner();
      assert.is(await works(), true);
      const before = token.processId!;
      const many = Array.from({ length: 60 }, () => outcome(signer.sign(message)));
      // With the requests on their way.
      await new Promise((resolve) => setImmediate(resolve));
      process.kill(before, 'SIGKILL');
      const outcomes = await Promise.all(many);
      assert.ok(outcomes.includes('signer-unavailable'), 'the end was noticed');
      assert.is(await works(), true);
      assert.not.equal(token.processId, before);
    },
  );

  tokens('a token that is pulled out fails, and signs again once it is back', async () => {
    const { token, works, signer } = await freshSigner();
    assert.is(await works(), true);
    device.unplug();
    try {
      // A module may still know what it had read; a new process does not.
      process.kill(token.processId!, 'SIGKILL');
      assert.is(await outcome(signer.sign(message)), 'signer-unavailable');
      assert.is(await outcome(signer.sign(message)), 'signer-unavailable');
    } finally {
      device.plugIn();
    }
    await becomes('done', () => outcome(signer.sign(message)));
    assert.is(await works(), true);
  });

  tokens('a module that hangs is given up, and the next one signs', async () => {
    const { token, works, signer } = await freshSigner();
    assert.is(await works(), true);
    const hung = token.processId!;
    process.kill(hung, 'SIGSTOP');
    assert.is(await outcome(signer.sign(message)), 'signer-unavailable');
    assert.is(await works(), true);
    assert.not.equal(token.processId, hung);
  });

  tokens('more requests than may wait are refused at once', async () => {
    const { signer } = await freshSigner();
    const outcomes = await Promise.all(
      Array.from({ length: 400 }, () => outcome(signer.sign(message))),
    );
    const refused = outcomes.filter((one) => one === 'signer-unavailable').length;
    assert.ok(refused >= 400 - 257 && refused < 400, `${refused} refused`);
    assert.is(await outcome(signer.sign(message)), 'done');
  });

  tokens('a module, a token or a program that is not there is named', async () => {
    const { settings } = device;
    const said = async (changes: Partial<typeof settings>) => {
      const refusal = await tokenOf({ ...settings, ...changes }).open();
      return `${refusal?.refused}: ${refusal?.detail}`;
    };
    assert.match(
      await said({ module: '/nowhere.so' }),
      /^configuration-invalid: .*MODULE.*nowhere/,
    );
    assert.match(await said({ module: '/etc/hostname' }), /^signer-unavailable: .*hostname/);
    assert.match(await said({ label: 'another' }), /^signer-unavailable: no token 'another'/);
    assert.match(await said({ helper: '/nowhere' }), /^configuration-invalid: .*make token-helper/);
    device.initialise('twins');
    device.initialise('twins');
    assert.match(await said({ label: 'twins' }), /^configuration-invalid: .*several/);
  });

  tokens('a request that is none ends the process of the module, and nothing else', async () => {
    const checked = `${helperPath}-checked`;
    const requests: readonly (readonly [number, ...Uint8Array[]])[] = [
      [0],
      [7, message],
      [operations.sign, message, message],
      [operations.select, message],
      [operations.select, message, message],
      [operations.login, message, message, message],
      [operations.login, new Uint8Array(2_000)],
    ];
    for (const [operation, ...fields] of requests) {
      const helper = new TokenHelper(checked, softhsmModule, process.env);
      assert.is(await outcome(helper.call(operation, ...fields)), 'signer-unavailable');
      // Its own word, not a sanitizer's.
      assert.match(helper.ending?.message ?? '', /bad request/, String(operation));
    }
  });
}

files.run();
tokens.run();
