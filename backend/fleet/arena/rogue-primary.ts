/**
 * A Primary under the attacker's will, or a tester that only pretends to be one: speaks to the
 * Secondaries on the real bus. With the Primary's stolen key it is let in (service 0x29).
 */
import { LinkDriver } from '../../../agent/can/link-driver.ts';
import { UdsClient } from '../../../agent/can/uds-client.ts';
import { decode } from '../../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { maxUdsMessageBytes } from '../../../agent/limits.ts';
import { type RepositoryName, repositoryName } from '../../../agent/metadata/common.ts';
import { storedKeyPair } from '../../../agent/metadata/configuration.ts';
import type { VerificationStep } from '../../../agent/metadata/vehicle-messages.ts';
import { SecondaryClient } from '../../../agent/primary/secondary-client.ts';
import { createEmulatedCan } from '../../../hal/emulated/can.ts';
import { createFileKeyValue } from '../../../hal/emulated/key-value.ts';
import { createNodeClock } from '../../../hal/node/clock.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { createNodeRandom } from '../../../hal/node/random.ts';
import { type KeyPair, signerOf } from '../../../hal/node/signing.ts';
import type { ProvisionedAgent } from '../provision.ts';
import { agentLayouts, canPort, hostedEcuId, vehicleId } from '../vehicle-layout.ts';

const maxOffers = 20;

/** What the attacker has for a file that a Secondary asks for. */
type FileOf = (
  repository: RepositoryName,
  name: string,
) => Uint8Array | undefined | Promise<Uint8Array | undefined>;

async function answerVerification(
  secondary: SecondaryClient,
  fileOf: FileOf,
): Promise<VerificationStep | Refusal> {
  let step = await secondary.startVerification();
  while (!isRefusal(step) && step.ask !== undefined) {
    const { repository, name } = step.ask;
    step = await secondary.supplyFile(await fileOf(repositoryName(repository), name));
  }
  return step;
}

export class RoguePrimary {
  readonly full: SecondaryClient;
  readonly partial: SecondaryClient;
  private readonly driver: LinkDriver;

  /** @param key what it proves itself with: the Primary's, or one of its own */
  constructor(busAddress: string, key: KeyPair) {
    const clock = createNodeClock();
    const names = ['full', 'partial'] as const;
    const addresses = names.map((name) => agentLayouts[name].address!);
    this.driver = new LinkDriver({
      can: createEmulatedCan({ [canPort]: busAddress }),
      clock,
      port: canPort,
      filters: addresses.map(({ responseId }) => responseId),
    });
    const credentials = {
      vehicleId,
      signer: signerOf(key),
      crypto: createNodeCrypto(),
      random: createNodeRandom(),
    };
    const [full, partial] = addresses.map((address, i) => {
      const client = new UdsClient({
        transmitId: address.requestId,
        receiveId: address.responseId,
        extended: false,
        flexibleData: true,
        maxMessageBytes: maxUdsMessageBytes,
      });
      this.driver.add(client);
      const ecuIds = i === 0 ? ['full'] : ['partial', hostedEcuId('partial')];
      return new SecondaryClient(client, ecuIds, credentials);
    });
    this.full = full!;
    this.partial = partial!;
  }

  /**
   * Answers a Secondary's verification with whatever files, of any size, until it has refused them. On
   * a machine under load answers come too late: then it begins anew.
   */
  async offer(secondary: SecondaryClient, fileOf: FileOf): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const step = await answerVerification(secondary, fileOf);
      if (!isRefusal(step)) {
        if (step.refusal !== undefined) return;
        throw new Error(`${secondary.ecuIds[0]} took what it was offered`);
      }
      const { refused } = step;
      if (refused !== 'secondary-silent' && !refused.startsWith('iso-tp-')) return;
      if (attempt === maxOffers) throw new Error(`${secondary.ecuIds[0]}: ${step.detail}`);
    }
  }

  async close(): Promise<void> {
    await this.full.release();
    await this.partial.release();
    this.driver.close();
  }
}

/** The signing key of an ECU, from the flash of its agent. */
export function ecuKey(agent: ProvisionedAgent, ecuId: string): KeyPair {
  return storedKey(agent, `signing-key/${ecuId}`);
}

/** The key of an ECU that opens its content keys. */
export function ecuWrappingKey(agent: ProvisionedAgent, ecuId: string): KeyPair {
  return storedKey(agent, `wrapping-key/${ecuId}`);
}

function storedKey(agent: ProvisionedAgent, name: string): KeyPair {
  const bytes = createFileKeyValue(agent.keyValueFolder).read(name);
  const pair = bytes && decode(storedKeyPair, bytes, bytes.length);
  if (pair === undefined || isRefusal(pair)) throw new Error(`no ${name}`);
  return pair;
}
