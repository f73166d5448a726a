/** What every home of the online keys has to do; run against key files and against a PKCS#11 token. */
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { isRefusal } from '../../agent/codes.ts';
import { keyId } from '../../agent/crypto/key-id.ts';
import { wrapContentKey } from '../../agent/crypto/key-wrap.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { profiles, roles } from '../../agent/metadata/common.ts';
import type { Root } from '../../agent/metadata/root.ts';
import { identify, resolveAuthority } from '../../agent/verify/authority.ts';
import { Metrics } from '../../backend/metrics.ts';
import {
  type KeyProvider,
  type OnlineKeyName,
  OnlineKeys,
  type Roots,
} from '../../backend/signer/online-keys.ts';
import { crypto, opened } from './backend-fixture.ts';

/** A keys folder under test. */
export interface KeysUnderTest {
  readonly provider: KeyProvider;
  /** The public keys that its files name. */
  readonly publicKeys: Readonly<Record<OnlineKeyName, PublicKey>>;
  /** Puts a fresh key in the place of one. */
  replace(name: OnlineKeyName): Promise<PublicKey>;
}

const composite = 'composite';

function rootOf(entries: readonly (readonly [role: keyof typeof roles, key: PublicKey])[]): Root {
  return {
    type: roles.root,
    formatVersion: 1,
    version: 1,
    expires: 2_000_000_000,
    keys: entries.map(([, key]) => key),
    roles: entries.map(([role, key]) => ({
      role: roles[role],
      profile: profiles[composite],
      keyIds: [keyId(crypto, key)],
      threshold: 1,
    })),
  };
}

function rootsOf(keys: Readonly<Record<OnlineKeyName, PublicKey>>): Roots {
  return {
    director: rootOf([
      ['targets', keys['director-targets']],
      ['snapshot', keys['director-snapshot']],
      ['timestamp', keys['director-timestamp']],
      ['time', keys['director-time']],
    ]),
    images: rootOf([
      ['snapshot', keys['images-snapshot']],
      ['timestamp', keys['images-timestamp']],
    ]),
  };
}

/** As the agent of an ECU judges a signed document. */
function verdict(bytes: Uint8Array, key: PublicKey, payloadHash: 'forbidden' = 'forbidden') {
  const envelope = opened(decodeEnvelope(bytes, bytes.length));
  const role = { keyIds: [keyId(crypto, key)], threshold: 1 };
  const authority = opened(resolveAuthority(identify(crypto, [key]), role, composite));
  const domain = 'metadata';
  return (
    verifyEnvelope(crypto, envelope, authority, { domain, payloadHash })?.refused ?? 'accepted'
  );
}

/** Adds the contract to a suite; `open` gives a fresh keys folder for each test. */
export function addSignerContract(test: Test, open: () => Promise<KeysUnderTest>): void {
  const loaded = async (under: KeysUnderTest) => {
    const keys = new OnlineKeys(crypto, under.provider, new Metrics());
    assert.is(await keys.fit(rootsOf(under.publicKeys)), undefined);
    return keys;
  };

  test('an ECU accepts what each key signs, by that key alone', async () => {
    const under = await open();
    const keys = await loaded(under);
    for (const name of ['director-targets', 'director-timestamp', 'images-snapshot'] as const) {
      const signed = await keys.sign(name, 'metadata', Uint8Array.of(1, 2, 3));
      assert.is(verdict(signed, under.publicKeys[name]), 'accepted', name);
      assert.is(verdict(signed, under.publicKeys['director-time']), 'signature-threshold', name);
    }
  });

  test('a batch of documents bears one signature, which every one of them proves', async () => {
    const under = await open();
    const keys = await loaded(under);
    const payloads = [1, 2, 3, 4, 5].map((value) => Uint8Array.of(value));
    const signed = await keys.signTogether('director-timestamp', roles.timestamp, 2e9, payloads);
    assert.is(signed.length, payloads.length);
    const forms = new Set<string>();
    for (const bytes of signed) {
      const { signatures } = opened(decodeEnvelope(bytes, bytes.length));
      forms.add(Buffer.from(signatures[0]!.signature).toString('hex'));
    }
    assert.is(forms.size, 1);
  });

  test('many signatures at once are each of their own document', async () => {
    const under = await open();
    const keys = await loaded(under);
    const key = under.publicKeys['director-snapshot'];
    const signed = await Promise.all(
      Array.from({ length: 100 }, (_, i) => {
        return keys.sign('director-snapshot', 'metadata', Uint8Array.of(i));
      }),
    );
    for (const [i, bytes] of signed.entries()) {
      assert.equal(opened(decodeEnvelope(bytes, bytes.length)).payload, Uint8Array.of(i));
      assert.is(verdict(bytes, key), 'accepted');
    }
  });

  test('a key that no Root names is refused, and one that replaces another is taken', async () => {
    const under = await open();
    const keys = await loaded(under);
    const fresh = await under.replace('director-targets');
    assert.not.equal(fresh, under.publicKeys['director-targets']);
    // The Roots are as before: so are the keys, as they are loaded.
    assert.is(await keys.fit(rootsOf(under.publicKeys)), undefined);
    const next = rootsOf({ ...under.publicKeys, 'director-targets': fresh });
    assert.is(await keys.fit(next), undefined);
    const signed = await keys.sign('director-targets', 'metadata', Uint8Array.of(9));
    assert.is(verdict(signed, fresh), 'accepted');
    const back = await keys.fit(rootsOf(under.publicKeys));
    assert.is(back?.refused, 'key-file-invalid');
    const still = await keys.sign('director-targets', 'metadata', Uint8Array.of(9));
    assert.is(verdict(still, fresh), 'accepted', 'nothing changes on a refusal');
  });

  test('content keys are sealed to the wrapping key, and opened', async () => {
    const under = await open();
    const keys = await loaded(under);
    assert.equal(keys.wrappingKey, under.publicKeys['director-wrapping']);
    const contentKey = new Uint8Array(32).fill(7);
    const context = ['director', 'director', 'a.bin', new Uint8Array(32)] as const;
    const sealed = opened(wrapContentKey(crypto, keys.wrappingKey, contentKey, context));
    const unsealed = keys.unseal(sealed, context);
    assert.ok(!isRefusal(unsealed));
    assert.equal(unsealed, contentKey);
  });
}
