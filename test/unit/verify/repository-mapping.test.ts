/** The repository map: judged when a program starts, asked for every image. */
import '../ecu/agent-release.ts';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { openState } from '../../../agent/ecu/start-up.ts';
import { repositories } from '../../../agent/metadata/common.ts';
import { configuration } from '../../../agent/metadata/configuration.ts';
import { verifications } from '../../../agent/metadata/device-messages.ts';
import { type RepositoryMap, repositoryMap } from '../../../agent/metadata/repository-map.ts';
import { checkRepositoryMap, endpointOf } from '../../../agent/verify/repository-mapping.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import { basicMap } from '../../simulator/basic-map.ts';
import { RepositorySimulator, SimulatedVerifier } from '../../simulator/repository-simulator.ts';
import { EcuRig } from '../ecu/ecu-rig.ts';

const { director, images } = repositories;
const both = [director, images];

test('MAP-02: the map names Director and Image repository with one address each', () => {
  assert.is(checkRepositoryMap(basicMap), undefined);
  assert.is(endpointOf(basicMap, 'director').host, 'director.test');
  assert.is(endpointOf(basicMap, 'images').port, 8001);
  const [first, second] = basicMap.repositories;
  for (const named of [[first!], [second!], [first!, first!]]) {
    const refusal = checkRepositoryMap({ ...basicMap, repositories: named });
    refused(refusal!, 'configuration-invalid', 'MAP-02');
  }
});

for (const wrong of [[director], [images], [director, director]]) {
  test(`MAP-03, MAP-04: images that need only repositories ${wrong} make the map unusable`, () => {
    const mappings = [
      { paths: ['app-*'], repositories: both },
      { paths: ['*'], repositories: wrong },
    ];
    refused(checkRepositoryMap({ ...basicMap, mappings })!, 'configuration-invalid', 'MAP-03');
  });
}

test('MAP-03, FV-00: an image that no mapping covers is refused, others are installed', () => {
  const sim = new RepositorySimulator('ecdsa');
  const verifier = new SimulatedVerifier(sim);
  sim.assign('ecu-1', { filename: 'app-2.bin', releaseCounter: 2 });
  const covering = (path: string): RepositoryMap => ({
    ...basicMap,
    mappings: [{ paths: ['tool-*', path], repositories: both }],
  });
  verifier.options = { ...verifier.options, repositoryMap: covering('brakes-*') };
  refused(verifier.full(), 'target-unmapped', 'MAP-03');
  verifier.options = { ...verifier.options, repositoryMap: covering('app-*') };
  assigned(verifier.full(), ['ecu-1']);
});

test('MAP-01, KEY-03: a full verifier does not start without a usable map; a partial one has none', () => {
  const rig = new EcuRig();
  const state = rig.start();
  const provisioned = decode(configuration, rig.keyValue.read('configuration')!, 65_536);
  if (isRefusal(provisioned)) throw new Error(provisioned.detail);
  const { repositoryMap: map, ...without } = provisioned;
  assert.equal(map, basicMap);
  const restart = (changed: Parameters<typeof encode<typeof provisioned>>[1]) => {
    rig.keyValue.write('configuration', encode(configuration, changed));
    return openState(state.hal);
  };
  const refusalOf = (changed: typeof provisioned) => {
    const opened = restart(changed);
    return isRefusal(opened) ? [opened.refused, opened.row] : undefined;
  };
  assert.equal(refusalOf(without), ['configuration-invalid', 'MAP-01']);
  const half = { ...basicMap, repositories: [basicMap.repositories[0]!] };
  assert.equal(refusalOf({ ...without, repositoryMap: half }), ['configuration-invalid', 'MAP-02']);
  assert.is(refusalOf({ ...without, verification: verifications.partial }), undefined);
});

test('POUF-05: a map survives encoding and decoding', () => {
  assert.equal(decode(repositoryMap, encode(repositoryMap, basicMap), 512), basicMap);
});

test.run();
