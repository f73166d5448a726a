/**
 * A campaign of offline updates (PURE-2): which ECU of which vehicle gets which image, composed from
 * the Director's inventory and the Image repository's Targets, and signed with the operator's
 * offline keys. Nothing of this is believed by a vehicle because the server said it.
 */
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { decode, encode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { type Signer, signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import {
  maxKeyObjectBytes,
  maxOfflineAssignments,
  maxOfflineSnapshotBytes,
  maxOfflineTargetsBytes,
} from '../../agent/limits.ts';
import { roles } from '../../agent/metadata/common.ts';
import {
  type OfflineAssignment,
  type OfflineSnapshot,
  offlineSnapshot,
  offlineTargets,
} from '../../agent/metadata/offline.ts';
import type { Target } from '../../agent/metadata/targets.ts';
import type { Crypto } from '../../hal/types.ts';
import { keyObjectRequest, type VehicleView, vehicleList, vehicleView } from '../http/messages.ts';
import type { OperatorClient } from './operator-client.ts';

export interface CampaignOptions {
  readonly crypto: Crypto;
  readonly client: OperatorClient;
  readonly name: string;
  /** Vehicles by their ids, or all that have ECUs of these hardware ids. */
  readonly vehicleIds: readonly string[];
  readonly hardwareIds: readonly string[];
  /** The images of the campaign, as the Image repository lists them. */
  readonly targets: readonly Target[];
  /** Unix seconds. */
  readonly expires: number;
}

/** What goes onto the medium beside the metadata of both repositories. */
export interface Campaign {
  readonly snapshot: Uint8Array;
  readonly targets: Uint8Array;
  readonly version: number;
  readonly assignments: readonly OfflineAssignment[];
  readonly keyObjects: readonly Uint8Array[];
  readonly vehicles: readonly VehicleView[];
}

/** The vehicles that a campaign is for. Codes of the client, `vehicle-unknown`. */
export async function vehiclesOf(
  options: Pick<CampaignOptions, 'client' | 'vehicleIds' | 'hardwareIds'>,
): Promise<readonly VehicleView[] | Refusal> {
  const { client, hardwareIds, vehicleIds } = options;
  const ids = vehicleIds.length > 0 ? vehicleIds : await allVehicles(client);
  if (isRefusal(ids)) return ids;
  const vehicles: VehicleView[] = [];
  for (const id of ids) {
    const view = await client.get(`/vehicles/${id}`, vehicleView);
    if (isRefusal(view)) return view;
    const wanted =
      hardwareIds.length === 0 ||
      view.ecus.some(({ hardwareId }) => hardwareIds.includes(hardwareId));
    if (wanted) vehicles.push(view);
  }
  return vehicles;
}

async function allVehicles(client: OperatorClient): Promise<readonly string[] | Refusal> {
  const ids: string[] = [];
  for (;;) {
    const after = ids.at(-1);
    const page = await client.get(
      after === undefined ? '/vehicles' : `/vehicles?after=${after}`,
      vehicleList,
    );
    if (isRefusal(page)) return page;
    if (page.length === 0) return ids;
    ids.push(...page.map(({ vehicleId }) => vehicleId));
  }
}

/**
 * Composes and signs a campaign and the Offline Snapshot that lists it.
 * @param previous the newest Offline Snapshot, if there is one
 * @returns codes `argument-invalid` (nobody gets an image, or two images fit one ECU),
 *   `body-too-large` (too many ECUs for one campaign), those of the client and the server
 */
export async function composeCampaign(
  options: CampaignOptions,
  previous: OfflineSnapshot | undefined,
  signers: { readonly snapshot: readonly Signer[]; readonly targets: readonly Signer[] },
): Promise<Campaign | Refusal> {
  const { crypto, client, name, targets, expires } = options;
  const vehicles = await vehiclesOf(options);
  if (isRefusal(vehicles)) return vehicles;
  const chosen = chooseImages(options, vehicles);
  if (isRefusal(chosen)) return chosen;
  const assignments: OfflineAssignment[] = [];
  const keyObjects: Uint8Array[] = [];
  for (const { vehicleId, ecuId, target } of chosen) {
    const { filename } = targets[target]!;
    const asked = { vehicleId, ecuId, filename };
    const keyObject = await client.postForFile('/offline/key-objects', keyObjectRequest, asked);
    if (isRefusal(keyObject)) return keyObject;
    if (keyObject.length > maxKeyObjectBytes) {
      return refuse('body-too-large', `key object of ${keyObject.length} bytes`);
    }
    const keyObjectSha256 = crypto.digest('SHA-256', keyObject);
    const { length: keyObjectLength } = keyObject;
    assignments.push({ vehicleId, ecuId, target, keyObjectSha256, keyObjectLength });
    keyObjects.push(keyObject);
  }
  const before = previous?.versions ?? [];
  const version = (before.find(({ key }) => key === name)?.value ?? 0) + 1;
  const common = { formatVersion: 1, expires } as const;
  const campaign = encode(offlineTargets, {
    type: roles['offline-targets'],
    ...common,
    version,
    name,
    targets,
    assignments,
  });
  const signed = signEnvelope(crypto, signers.targets, 'metadata', campaign);
  if (signed.length > maxOfflineTargetsBytes) return tooLarge(`${signed.length} bytes`);
  const snapshot = encode(offlineSnapshot, {
    type: roles['offline-snapshot'],
    ...common,
    version: (previous?.version ?? 0) + 1,
    versions: [...before.filter(({ key }) => key !== name), { key: name, value: version }],
  });
  return {
    snapshot: signEnvelope(crypto, signers.snapshot, 'metadata', snapshot),
    targets: signed,
    version,
    assignments,
    keyObjects,
    vehicles: vehicles.filter((one) =>
      assignments.some(({ vehicleId }) => vehicleId === one.vehicleId),
    ),
  };
}

interface Choice {
  readonly vehicleId: string;
  readonly ecuId: string;
  readonly target: number;
}

/** Every ECU whose hardware an image is for, and that does not run it already. */
function chooseImages(
  { hardwareIds, targets }: CampaignOptions,
  vehicles: readonly VehicleView[],
): readonly Choice[] | Refusal {
  const chosen: Choice[] = [];
  for (const { vehicleId, ecus } of vehicles) {
    for (const { ecuId, hardwareId } of ecus) {
      if (hardwareIds.length > 0 && !hardwareIds.includes(hardwareId)) continue;
      const fitting = targets.filter(({ mustMatch }) => mustMatch.hardwareIds.includes(hardwareId));
      // OFF-04: at most one target per ECU
      if (fitting.length > 1) {
        const names = fitting.map(({ filename }) => filename).join(' and ');
        return refuse('argument-invalid', `${names} are both for ${hardwareId} (${ecuId})`);
      }
      if (fitting.length === 0) continue;
      chosen.push({ vehicleId, ecuId, target: targets.indexOf(fitting[0]!) });
    }
  }
  if (chosen.length === 0) {
    return refuse('argument-invalid', 'no ECU of these vehicles has hardware for these images');
  }
  return chosen.length > maxOfflineAssignments ? tooLarge(`${chosen.length} ECUs`) : chosen;
}

function tooLarge(what: string): Refusal {
  return refuse(
    'body-too-large',
    `a campaign of ${what}: ECUs accept ${maxOfflineTargetsBytes} bytes and ` +
      `${maxOfflineAssignments} ECUs; make several, each with its own name`,
  );
}

/** Opens an Offline Snapshot of this operator's own, or of a server that has verified it. */
export function openOfflineSnapshot(bytes: Uint8Array): OfflineSnapshot | Refusal {
  const envelope = decodeEnvelope(bytes, maxOfflineSnapshotBytes);
  if (isRefusal(envelope)) return envelope;
  return decode(offlineSnapshot, envelope.payload, maxOfflineSnapshotBytes);
}
