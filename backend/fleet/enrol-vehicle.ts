/** End of the line: a manufactured vehicle is registered and gets its first metadata and time. */
import { encode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import { enrolmentProof, registration } from '../../agent/metadata/device-messages.ts';
import type { Endpoint } from '../../agent/metadata/repository-map.ts';
import { DeviceTls } from '../../agent/net/device-tls.ts';
import { HttpClient } from '../../agent/net/http.ts';
import { RepositoryClient } from '../../agent/net/repository-client.ts';
import { enrol, registrationKey } from '../../agent/primary/enrolment.ts';
import { Repositories } from '../../agent/primary/repositories.ts';
import { MetadataStore } from '../../agent/verify/metadata-store.ts';
import { TimeKeeper } from '../../agent/verify/time.ts';
import { createFileKeyValue } from '../../hal/emulated/key-value.ts';
import { createNodeClock } from '../../hal/node/clock.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import { createNodeNet } from '../../hal/node/net.ts';
import { createNodeRandom } from '../../hal/node/random.ts';
import { signerOf } from '../../hal/node/signing.ts';
import type { ManufacturedVehicle } from './provision.ts';
import { provisionMetadata } from './provision-metadata.ts';

export interface EnrolOptions {
  readonly vehicleId: string;
  readonly enrolmentToken: string;
  /** The repositories as the factory reaches them. */
  readonly director: Endpoint;
  readonly images: Endpoint;
  /** The device root's certificate, as the vehicle was made with it; plain HTTP when absent. */
  readonly deviceRoot?: Uint8Array | undefined;
}

/** The vehicle's registration, encoded, with the proof that it has its device key. */
export function registrationOf(
  { agents, ecus, deviceKey }: ManufacturedVehicle,
  { vehicleId, enrolmentToken: token }: Pick<EnrolOptions, 'vehicleId' | 'enrolmentToken'>,
): Uint8Array {
  const request = { token, vehicleId, primaryEcuId: agents[0]!.layout.ecuId, ecus };
  if (deviceKey === undefined) return encode(registration, request);
  const said = encode(enrolmentProof, { token, vehicleId });
  const proof = signEnvelope(createNodeCrypto(), [signerOf(deviceKey)], 'enrolment', said);
  return encode(registration, { ...request, deviceKey: deviceKey.key, proof });
}

/** Throws when the Director refuses the vehicle, or the vehicle what the repositories have. */
export async function enrolVehicle(
  vehicle: ManufacturedVehicle,
  options: EnrolOptions,
): Promise<void> {
  const { agents } = vehicle;
  const { vehicleId, director, images, deviceRoot } = options;
  const clock = createNodeClock();
  const crypto = createNodeCrypto();
  const http = new HttpClient({ net: createNodeNet(), clock });
  const random = createNodeRandom();
  const [primary] = agents;
  const keyValue = createFileKeyValue(primary!.keyValueFolder);
  const tls = orThrow(
    DeviceTls.open(
      keyValue,
      new TimeKeeper({ keyValue, clock, crypto }),
      deviceRoot === undefined ? {} : { tls: { trustAnchors: [deviceRoot] } },
    ),
  );
  const client = new RepositoryClient({ http, clock, random, vehicleId, director, images, tls });
  const repositories = new Repositories(client);
  // As the Primary would do it by itself, had the factory no network.
  keyValue.write(registrationKey, registrationOf(vehicle, options));
  orThrow(await enrol({ repositories, tls, state: { hal: { keyValue, board: { log() {} } } } }));
  keyValue.delete(registrationKey);
  // A Secondary gets its metadata from the Primary's store, as it will later.
  const store = new MetadataStore(keyValue);
  for (const agent of agents) {
    await provisionMetadata({
      keyValue: createFileKeyValue(agent.keyValueFolder),
      crypto,
      clock,
      random,
      vehicleId,
      partial: agent.layout.verification === 'partial',
      postTime: (nonces) => repositories.postTime(nonces),
      fetch: async (file) =>
        agent === primary ? repositories.metadata(file) : store.read(file.repository, file.name),
    });
  }
}

function orThrow<T>(result: T | Refusal): T {
  if (isRefusal(result)) throw new Error(`registration: ${result.refused} ${result.detail}`);
  return result;
}
