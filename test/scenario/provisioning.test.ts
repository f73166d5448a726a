/** What every ECU knows when it leaves the factory (Uptane §5.4.1), against a real backend. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal } from '../../agent/codes.ts';
import { configuration, storedKeyPair } from '../../agent/metadata/configuration.ts';
import { cborMetadata } from '../../agent/verify/cbor-metadata.ts';
import { FullVerification } from '../../agent/verify/full-verification.ts';
import { MetadataStore } from '../../agent/verify/metadata-store.ts';
import { checkRepositoryMap } from '../../agent/verify/repository-mapping.ts';
import { TimeKeeper } from '../../agent/verify/time.ts';
import { enrolVehicle } from '../../backend/fleet/enrol-vehicle.ts';
import {
  manufactureVehicle,
  type ProvisionedAgent,
  readRoot,
} from '../../backend/fleet/provision.ts';
import { createFileKeyValue } from '../../hal/emulated/key-value.ts';
import { createNodeClock } from '../../hal/node/clock.ts';
import { crypto, startSeconds, TestBackend } from './backend-fixture.ts';

const test = suite('provisioning');
const vehicleId = 'vehicle-1';
let backend: TestBackend;
let agents: readonly ProvisionedAgent[];

test.before(async () => {
  backend = await TestBackend.start();
  await backend.publish('1.targets.cbor', backend.signTargets(1, {}));
  const { director, images } = backend.backend.ports;
  const keys = join(backend.folder, 'keys');
  const vehicle = await manufactureVehicle({
    folder: join(backend.folder, 'vehicle'),
    buildFolder: join(backend.folder, 'build'),
    vehicleId,
    director: { host: 'director.test', port: 8000 },
    images: { host: 'images.test', port: 8001 },
    directorRoot: readRoot(keys, 'director'),
    imagesRoot: readRoot(keys, 'images'),
    busAddress: 'unix:/nowhere',
    hosted: { on: 'full', imageBytes: 10_000 },
    downloadBytes: 1_048_576,
    pollMilliseconds: 1_000,
  });
  await enrolVehicle(vehicle, {
    vehicleId,
    enrolmentToken: await backend.token(),
    director: { host: '127.0.0.1', port: director },
    images: { host: '127.0.0.1', port: images },
  });
  agents = vehicle.agents;
});
test.after(() => backend.stop());

const keyValueOf = (agent: ProvisionedAgent) => createFileKeyValue(agent.keyValueFolder);
const isPartial = (agent: ProvisionedAgent) => agent.layout.verification === 'partial';

function configurationOf(agent: ProvisionedAgent) {
  const found = decode(configuration, keyValueOf(agent).read('configuration')!, 65_536);
  if (isRefusal(found)) throw new Error(found.detail);
  return found;
}

test('KEY-01, KEY-03: a full verifier leaves with all metadata of both repositories and the map', () => {
  const full = agents.filter((agent) => !isPartial(agent));
  assert.is(full.length, 2);
  for (const agent of full) {
    const store = new MetadataStore(keyValueOf(agent));
    for (const repository of ['director', 'images'] as const) {
      for (const name of ['1.root', 'timestamp', '1.snapshot', '1.targets']) {
        const file = store.read(repository, `${name}.cbor`);
        assert.ok(file, `${agent.layout.name}: ${repository} ${name}`);
      }
    }
    const { repositoryMap } = configurationOf(agent);
    assert.ok(repositoryMap);
    assert.is(checkRepositoryMap(repositoryMap), undefined);
  }
});

test('KEY-01, KEY-02: a partial verifier leaves with Director Root and Targets, and nothing else', () => {
  const partial = agents.filter(isPartial);
  assert.is(partial.length, 1);
  const store = new MetadataStore(keyValueOf(partial[0]!));
  assert.ok(store.read('director', '1.root.cbor'));
  assert.ok(store.read('director', 'targets.cbor'));
  assert.is(store.read('director', 'timestamp.cbor'), undefined);
  assert.is(store.rootVersion('images'), undefined);
  assert.is(configurationOf(partial[0]!).repositoryMap, undefined);
});

test('KEY-04: every ECU leaves with an attested time that it will not go behind', () => {
  for (const agent of agents) {
    const keyValue = keyValueOf(agent);
    const time = new TimeKeeper({ keyValue, clock: createNodeClock(), crypto });
    assert.is(time.lowerBound(), startSeconds, agent.layout.name);
    assert.is(time.now(), 0, 'a stored time is no fresh one');
  }
});

test('KEY-01, HRD-11: the first metadata is the baseline: an older Timestamp is a rollback at once', async () => {
  const keyValue = keyValueOf(agents[0]!);
  const later = await backend.operator(`/vehicles/${vehicleId}/refresh`, { method: 'POST' });
  assert.is(later.status, 200);
  const store = new MetadataStore(keyValue);
  const old = store.read('director', 'timestamp.cbor');
  const fetch = async (name: string) => {
    const answer = await backend.director(`/metadata/${vehicleId}/${name}`);
    return answer.status === 200 ? answer.body : undefined;
  };
  const verify = async (timestamp: Uint8Array | undefined) => {
    const verification = new FullVerification({
      crypto,
      format: cborMetadata,
      profile: 'composite',
      vehicleId,
      ecus: [],
      everyEcu: true,
      store,
      now: startSeconds + 1,
    });
    for (let ask = verification.ask(); ask !== undefined; ask = verification.ask()) {
      verification.supply(ask.name === 'timestamp.cbor' ? timestamp : await fetch(ask.name));
    }
    return verification.decision();
  };
  assert.not(isRefusal(await verify(await fetch('timestamp.cbor'))));
  const outcome = await verify(old);
  assert.is(isRefusal(outcome) && `${outcome.refused} ${outcome.row}`, 'metadata-rollback CTS-03');
});

test('KEY-05, KEY-06: signing and wrapping keys are each ECU’s own', () => {
  const keys = agents.flatMap((agent) =>
    agent.ecus.flatMap(({ ecuId }) =>
      ['signing-key', 'wrapping-key'].map((kind) => {
        const pair = decode(storedKeyPair, keyValueOf(agent).read(`${kind}/${ecuId}`)!, 4_096);
        if (isRefusal(pair)) throw new Error(pair.detail);
        return Buffer.from(pair.key.bytes).toString('hex');
      }),
    ),
  );
  assert.is(keys.length, 8);
  assert.is(new Set(keys).size, keys.length);
});

test('VIM-03: every ECU is told which filenames are for it, and the Primary those of all', () => {
  const [primary, ...secondaries] = agents;
  const told = secondaries.map((agent) =>
    configurationOf(agent).ecus.map(({ filenamePattern }) => filenamePattern),
  );
  assert.equal(
    configurationOf(primary!).primary?.secondaries.map(({ filenamePatterns }) => filenamePatterns),
    told,
  );
  assert.equal(told, [
    ['full-agent-*.bin', `${agents[1]!.ecus[1]!.ecuId}-*.bin`],
    ['partial-agent-*.bin'],
  ]);
});

test.run();
