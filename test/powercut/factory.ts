/** The ECU under test as it leaves the factory: its flash part, slots, keys and configuration. */
import { encode } from '../../agent/codec/schema.ts';
import { BootBlock } from '../../agent/install/boot-block.ts';
import { FlashKeyValue } from '../../agent/install/flash-key-value.ts';
import { profiles } from '../../agent/metadata/common.ts';
import { configuration, storedKeyPair } from '../../agent/metadata/configuration.ts';
import { verifications } from '../../agent/metadata/device-messages.ts';
import { imageKinds } from '../../agent/metadata/targets.ts';
import { MetadataStore } from '../../agent/verify/metadata-store.ts';
import type { FaultyFlash } from '../../hal/emulated/faulty-flash.ts';
import { createFlash } from '../../hal/emulated/flash.ts';
import type { Flash, KeyValue } from '../../hal/types.ts';
import { basicMap } from '../simulator/basic-map.ts';
import { vehicleId } from '../simulator/repository-simulator.ts';
import { layoutOf, type PartKind, type Role } from './geometries.ts';
import { crypto } from './memo-crypto.ts';
import { agentEcuId, hardwareOf, hostedEcuId, imageOf, type World } from './world.ts';

export interface EcuSetup {
  readonly role: Role;
  readonly part: PartKind;
  readonly world: World;
}

/** Who is updated: the agent's own ECU, or the one that it hosts. */
export const updatedEcuOf = (role: Role) => (role === 'hosted' ? hostedEcuId : agentEcuId);

export function openFlash({ part, role }: EcuSetup, flash: FaultyFlash): Flash {
  return createFlash(layoutOf(part, role).map, part, () => flash.open());
}

export function openKeyValue(flash: Flash): KeyValue {
  return new FlashKeyValue(flash.open({ path: 'key-value' }), crypto);
}

/** In the factory: release 1 in slot A, keys, configuration, the first Roots. */
export function manufacture(setup: EcuSetup, flash: Flash): void {
  const { role, part, world } = setup;
  const pairs = role === 'hosted' ? ['', 'hosted-'] : [''];
  for (const pair of pairs) {
    const { plaintext, image } = imageOf(1);
    const length = Math.ceil(plaintext.length / part.writeAlign) * part.writeAlign;
    const padded = new Uint8Array(length).fill(part.eraseValue);
    padded.set(plaintext, 0);
    const slot = flash.open({ path: pair === '' ? 'slot-a' : 'hosted-a' });
    slot.write(padded, 0);
    slot.sync();
    BootBlock.initialise(flash.open({ path: `${pair}state` }), crypto, image);
  }
  const keyValue = openKeyValue(flash);
  const store = new MetadataStore(keyValue);
  const { director, images } = world.sim;
  store.writeRoot('director', 1, director.publishedRoots[0]!);
  if (role !== 'partial') store.writeRoot('images', 1, images.publishedRoots[0]!);
  const ecus = role === 'hosted' ? ([agentEcuId, hostedEcuId] as const) : ([agentEcuId] as const);
  for (const ecuId of ecus) {
    keyValue.write(`signing-key/${ecuId}`, encode(storedKeyPair, world.signingKeys[ecuId]));
    keyValue.write(`wrapping-key/${ecuId}`, encode(storedKeyPair, world.wrappingKeys[ecuId]));
  }
  keyValue.write('configuration', configurationOf(role));
}

function configurationOf(role: Role): Uint8Array {
  const own = {
    ecuId: agentEcuId,
    hardwareId: hardwareOf[agentEcuId],
    kinds: [imageKinds.opaque],
    slots: ['slot-a', 'slot-b'],
    journal: 'journal',
    filenamePattern: '*',
  };
  const hosted = {
    ...own,
    ecuId: hostedEcuId,
    hardwareId: hardwareOf[hostedEcuId],
    slots: ['hosted-a', 'hosted-b'],
    journal: 'hosted-journal',
    state: 'hosted-state',
  };
  return encode(configuration, {
    vehicleId,
    profile: profiles.ecdsa,
    verification: role === 'partial' ? verifications.partial : verifications.full,
    ecus: role === 'hosted' ? [own, hosted] : [own],
    can: { port: 'can0', flexibleData: true },
    trialBoots: 1,
    ...(role === 'primary' && {
      primary: { secondaries: [], download: 'download', pollMilliseconds: 0 },
    }),
    ...(role !== 'partial' && { repositoryMap: basicMap }),
  });
}
