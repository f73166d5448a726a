/** The repository simulator itself: production interface, folders of `ota verify-repo`, virtual clock. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import type { RepositoryClient } from '../../../agent/net/repository-client.ts';
import { Repositories } from '../../../agent/primary/repositories.ts';
import { FullVerification } from '../../../agent/verify/full-verification.ts';
import { verifyRepository } from '../../../backend/cli/verify-repository.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import {
  MemoryKeyValue,
  now,
  RepositorySimulator,
  SimulatedVerifier,
  vehicleId,
} from '../../simulator/repository-simulator.ts';
import { crypto, newSigner } from '../../simulator/simulated-repository.ts';

const test = suite('Repository simulator');
const folder = mkdtempSync(join(tmpdir(), 'ota-simulator-'));
let dumps = 0;

function start() {
  const sim = new RepositorySimulator();
  sim.assign('ecu-1', { filename: 'app-1.bin', releaseCounter: 5 });
  sim.images.delegate(['a'], { paths: ['brakes-*'] });
  return { sim, verifier: new SimulatedVerifier(sim) };
}

/** What `ota verify-repo` says of the dumped repositories. */
function replayed(sim: RepositorySimulator, image?: string) {
  const base = join(folder, String(dumps++));
  sim.dump(base);
  const outcome = verifyRepository({
    crypto,
    folders: { director: join(base, 'director'), images: join(base, 'images') },
    state: new MemoryKeyValue(),
    profile: sim.director.profile,
    vehicleId,
    ecus: [
      { ecuId: 'ecu-1', hardwareId: 'hw-a' },
      { ecuId: 'ecu-2', hardwareId: 'hw-b' },
    ],
    everyEcu: true,
    partial: false,
    now: sim.clock.seconds,
    ...(image && { image }),
  });
  return outcome;
}

const told = (outcome: unknown) =>
  isRefusal(outcome) ? `${outcome.refused} ${outcome.row}` : 'accepted';

const changes: readonly (readonly [string, (sim: RepositorySimulator) => void])[] = [
  ['nothing', () => undefined],
  ['a new Root', (sim) => sim.images.rotate('root')],
  ['another Timestamp key', (sim) => (sim.images.signers.timestamp = [newSigner('ecdsa')])],
  ['a missing file', (sim) => (sim.director.overrides['timestamp.cbor'] = undefined)],
  ['garbage', (sim) => (sim.images.overrides['1.a.cbor'] = new Uint8Array(9))],
  [
    'an image behind a delegation',
    (sim) => {
      sim.images.targets.targets = [];
      sim.images.delegated['a']!.targets.targets = [
        sim.target({ filename: 'app-1.bin', releaseCounter: 5 }),
      ];
    },
  ],
  ['a later time', (sim) => sim.clock.advance(86_400)],
];

for (const [name, change] of changes) {
  test(`with ${name}, the folders of a dump are judged as the repositories in memory`, () => {
    const { sim, verifier } = start();
    change(sim);
    assert.is(told(replayed(sim)), told(verifier.full()));
  });
}

test('FNM-02: a dump holds the images under their hash', () => {
  const { sim } = start();
  assert.is(told(replayed(sim, 'app-1.bin')), 'accepted');
  assert.is(told(replayed(sim, 'app-2.bin')), 'image-not-listed TGT-01');
});

test('the simulator is fetched from as the production client is', async () => {
  const { sim, verifier } = start();
  const repositories = new Repositories(
    sim as Pick<RepositoryClient, 'fetchMetadata'> as RepositoryClient,
  );
  const machine = new FullVerification(verifier.options);
  for (let ask = machine.ask(); ask !== undefined; ask = machine.ask()) {
    const file = await repositories.metadata(ask);
    machine.supply(file as Exclude<typeof file, Refusal>);
  }
  assigned(machine.decision(), ['ecu-1']);
  let answered = false;
  const handle = sim.fetchMetadata(
    { repository: 'director', name: 'timestamp.cbor', maxBytes: 1 },
    () => {
      answered = true;
    },
  );
  handle.cancel();
  await new Promise((resolve) => setImmediate(resolve));
  assert.not(answered);
});

test('CRT-06: what was valid is refused once the virtual clock has reached its expiry', () => {
  const { sim, verifier } = start();
  sim.clock.advance(86_399);
  assigned(verifier.full(), ['ecu-1']);
  sim.clock.advance(1);
  refused(verifier.full(), 'metadata-expired', 'CRT-06');
  assert.is(sim.clock.seconds, now + 86_400);
  assert.is(sim.clock.monotonic(), 86_400_000);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
