/** What the factory tells each agent of itself, of its vehicle and of the repositories. */
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import { profiles, repositories } from '../../agent/metadata/common.ts';
import type { Configuration } from '../../agent/metadata/configuration.ts';
import { verifications } from '../../agent/metadata/device-messages.ts';
import type { RepositoryMap } from '../../agent/metadata/repository-map.ts';
import { imageKinds } from '../../agent/metadata/targets.ts';
import type { ManufactureOptions, ProvisionedEcu } from './provision.ts';
import {
  type AgentLayout,
  type AgentName,
  agentLayouts,
  agentNames,
  board,
  canPort,
  downloadPartition,
  hostedEcuId,
  hostedHardwareId,
  runtimeEcuId,
  runtimeHardwareId,
} from './vehicle-layout.ts';

/**
 * The configuration of one agent (Uptane §5.4.1), as its key-value store holds it.
 * @param ecus those that the agent answers for
 * @param keys signing keys of all ECUs of the vehicle, by ECU id
 */
export function configureAgent(
  options: ManufactureOptions,
  layout: AgentLayout,
  ecus: readonly ProvisionedEcu[],
  keys: ReadonlyMap<string, PublicKey>,
): Configuration {
  const isPrimary = layout.program === 'primary';
  const blockBytes = board.memory.udsBlockBytes;
  return {
    vehicleId: options.vehicleId,
    profile: profiles.composite,
    verification: verifications[layout.verification],
    ecus: ecus.map((ecu) => ({
      ecuId: ecu.ecuId,
      hardwareId: ecu.hardwareId,
      kinds: [imageKinds[ecu.kind]],
      slots: [...ecu.partitions.slots],
      journal: ecu.partitions.journal,
      filenamePattern: patternOf(ecu),
      ...(ecu.kind === 'opaque' ? { state: ecu.partitions.state } : {}),
    })),
    can: {
      port: canPort,
      flexibleData: board.can.flexibleData,
      ...(layout.address && { address: layout.address }),
      ...(layout.testerAddress && { testerAddress: layout.testerAddress }),
      ...(blockBytes !== undefined && !isPrimary && { maxBlockBytes: blockBytes }),
    },
    trialBoots: 1,
    ...(isPrimary
      ? { primary: configurePrimary(options, keys) }
      : { primaryKey: keys.get(agentLayouts.primary.ecuId)! }),
    ...(layout.verification === 'full' ? { repositoryMap: mapRepositories(options) } : {}),
    ...(isPrimary && options.deviceRoot ? { tls: { trustAnchors: [options.deviceRoot] } } : {}),
  };
}

/** VIM-03: images of an agent's own, and of the ECUs that it hosts. */
const agentPattern = (name: AgentName): string => `${name}-agent-*.bin`;
const patternOf = ({ kind, layout, ecuId }: ProvisionedEcu): string =>
  kind === 'agent' ? agentPattern(layout.name) : `${ecuId}-*.bin`;

/** MAP-04: one mapping, for every image both repositories. */
function mapRepositories({ director, images }: ManufactureOptions): RepositoryMap {
  return {
    repositories: [
      { repository: repositories.director, endpoint: director },
      { repository: repositories.images, endpoint: images },
    ],
    mappings: [{ paths: ['*'], repositories: [repositories.director, repositories.images] }],
  };
}

function configurePrimary(
  options: ManufactureOptions,
  keys: ReadonlyMap<string, PublicKey>,
): NonNullable<Configuration['primary']> {
  const secondaries = agentNames
    .map((name) => agentLayouts[name])
    .flatMap((layout) =>
      layout.address === undefined ? [] : [{ ...layout, address: layout.address }],
    );
  return {
    secondaries: secondaries.map(({ name, ecuId, hardwareId, address, program }) => {
      const { hosted, runtimeFor } = options;
      const own = { ecuId, hardwareId, pattern: agentPattern(name) };
      const beside = [
        ...(hosted?.on === name
          ? [{ ecuId: hostedEcuId(name), hardwareId: hostedHardwareId }]
          : []),
        ...(runtimeFor === undefined
          ? []
          : [
              {
                ecuId: runtimeEcuId(name),
                hardwareId: runtimeHardwareId(program, runtimeFor.architecture),
              },
            ]),
      ].map((one) => ({ ...one, pattern: `${one.ecuId}-*.bin` }));
      const ecus = [own, ...beside];
      return {
        address,
        ecuIds: ecus.map((one) => one.ecuId),
        signingKeys: ecus.map((one) => keys.get(one.ecuId)!),
        hardwareIds: ecus.map((one) => one.hardwareId),
        filenamePatterns: ecus.map((one) => one.pattern),
      };
    }),
    download: downloadPartition,
    pollMilliseconds: options.pollMilliseconds,
    ...(options.doorbell && { doorbell: options.doorbell }),
  };
}
