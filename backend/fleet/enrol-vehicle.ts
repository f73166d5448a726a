/** End of the line: a manufactured vehicle is registered and gets its first metadata and time. */
import { encode } from '../../agent/codec/schema.ts';
import { registration } from '../../agent/metadata/device-messages.ts';
import type { Endpoint } from '../../agent/metadata/repository-map.ts';
import { HttpClient } from '../../agent/net/http.ts';
import { RepositoryClient } from '../../agent/net/repository-client.ts';
import { Repositories } from '../../agent/primary/repositories.ts';
import { MetadataStore } from '../../agent/verify/metadata-store.ts';
import { createFileKeyValue } from '../../hal/emulated/key-value.ts';
import { createNodeClock } from '../../hal/node/clock.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import { createNodeNet } from '../../hal/node/net.ts';
import { createNodeRandom } from '../../hal/node/random.ts';
import type { ManufacturedVehicle } from './provision.ts';
import { provisionMetadata } from './provision-metadata.ts';

export interface EnrolOptions {
  readonly vehicleId: string;
  readonly enrolmentToken: string;
  /** The repositories as the factory reaches them. */
  readonly director: Endpoint;
  readonly images: Endpoint;
}

/** Throws when the Director refuses the vehicle, or the vehicle what the repositories have. */
export async function enrolVehicle(
  { agents, ecus }: ManufacturedVehicle,
  { vehicleId, enrolmentToken, director, images }: EnrolOptions,
): Promise<void> {
  const clock = createNodeClock();
  const http = new HttpClient({ net: createNodeNet(), clock });
  const random = createNodeRandom();
  const client = new RepositoryClient({ http, clock, random, vehicleId, director, images });
  const repositories = new Repositories(client);
  const [primary] = agents;
  const request = { token: enrolmentToken, vehicleId, primaryEcuId: primary!.layout.ecuId, ecus };
  const refusal = await repositories.register(encode(registration, request));
  if (refusal !== undefined) throw new Error(`registration: ${refusal.refused} ${refusal.detail}`);
  // A Secondary gets its metadata from the Primary's store, as it will later.
  const store = new MetadataStore(createFileKeyValue(primary!.keyValueFolder));
  for (const agent of agents) {
    await provisionMetadata({
      keyValue: createFileKeyValue(agent.keyValueFolder),
      crypto: createNodeCrypto(),
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
