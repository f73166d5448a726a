import { suite } from 'uvu';
import { maxDelegationDepth, maxDelegationsVisited } from '../../../agent/limits.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import { RepositorySimulator, SimulatedVerifier } from '../../simulator/repository-simulator.ts';

const test = suite('Delegation bounds and keys');
const image = { filename: 'app-1.bin', releaseCounter: 5 };

/** The Director assigns an image which the Image repository's top level does not list. */
function start() {
  const sim = new RepositorySimulator();
  sim.assign('ecu-1', image);
  sim.images.targets.targets = [];
  const good = sim.target(image);
  const wrong = sim.target({ ...image, releaseCounter: 6 });
  const list = (role: string, target = good) => {
    sim.images.delegated[role]!.targets.targets = [target];
  };
  return { sim, images: sim.images, good, wrong, list, verifier: new SimulatedVerifier(sim) };
}

test('HRD-13: a cycle ends, and what follows it is still found', () => {
  const { images, list, verifier } = start();
  images.delegate(['a']);
  images.delegate(['b'], {}, images.delegated['a']!.targets);
  images.delegate(['a'], {}, images.delegated['b']!.targets);
  images.delegate(['c']);
  list('c');
  assigned(verifier.full(), ['ecu-1']);
});

for (const [count, found] of [
  [maxDelegationsVisited, true],
  [maxDelegationsVisited + 1, false],
] as const) {
  test(`HRD-13: ${count} delegations visited: ${found ? 'found' : 'refused'}`, () => {
    const { images, list, verifier } = start();
    // 30 roles at the top: what the list allows, and the rest below the last one
    for (let i = 0; i < 30; i++) images.delegate([`r${i}`]);
    const last = images.delegated['r29']!.targets;
    for (let i = 30; i < count; i++) images.delegate([`r${i}`], {}, last);
    list(`r${count - 1}`);
    if (found) assigned(verifier.full(), ['ecu-1']);
    else refused(verifier.full(), 'delegation-limit', 'HRD-13');
  });
}

for (const [depth, found] of [
  [maxDelegationDepth, true],
  [maxDelegationDepth + 1, false],
] as const) {
  test(`HRD-13, DEL-09: ${depth} delegations deep: ${found ? 'found' : 'refused'}`, () => {
    const { images, list, verifier } = start();
    let from = images.targets;
    for (let i = 0; i < depth; i++) {
      images.delegate([`d${i}`], {}, from);
      from = images.delegated[`d${i}`]!.targets;
    }
    list(`d${depth - 1}`);
    if (found) assigned(verifier.full(), ['ecu-1']);
    else refused(verifier.full(), 'delegation-limit', 'HRD-13');
  });
}

for (const [name, code, row, change] of [
  ['threshold 0', 'root-threshold', 'HRD-06', { threshold: 0 }],
  ['a threshold above its keys', 'root-threshold', 'HRD-06', { threshold: 2 }],
  ['a key that is not listed', 'key-malformed', 'DEL-03', { keyIds: [new Uint8Array(32)] }],
  ['the name of a top-level role', 'delegation-role', 'RDL-02', { name: 'root' }],
  ['the name of the top level', 'delegation-role', 'RDL-02', { name: 'targets' }],
] as const) {
  test(`${row}: a delegated role with ${name} is refused with the file that lists it`, () => {
    const { sim, images, verifier } = start();
    images.targets.targets = [sim.target(image)];
    images.delegate(['a'], { paths: ['unrelated'] });
    const { keys, delegations } = images.targets.delegations!;
    const [one] = delegations;
    const role = { ...one!.roles[0]!, ...change };
    images.targets.delegations = { keys, delegations: [{ ...one!, roles: [role] }] };
    refused(verifier.full(), code, row);
  });
}

test('DEL-08, HRD-07: a delegated role needs its threshold of distinct keys', () => {
  const { images, list, verifier } = start();
  images.delegate(['a']);
  images.delegate(['b']);
  list('a');
  const { keys, delegations } = images.targets.delegations!;
  const [a, b] = delegations.map((delegation) => delegation.roles[0]!);
  const both = { name: 'a', keyIds: a!.keyIds.concat(b!.keyIds), threshold: 2 };
  images.targets.delegations = { keys, delegations: [{ ...delegations[0]!, roles: [both] }] };
  const [first] = images.delegated['a']!.signers;
  images.delegated['a']!.signers = [first!, first!];
  refused(verifier.full(), 'signature-threshold', 'CTG-03');
  images.delegated['a']!.signers = [first!, images.delegated['b']!.signers[0]!];
  assigned(verifier.full(), ['ecu-1']);
});

test('ROOT-02: a key listed twice among the delegation keys is refused', () => {
  const { images, verifier } = start();
  images.delegate(['a']);
  const { keys, delegations } = images.targets.delegations!;
  images.targets.delegations = { keys: keys.concat(keys[0]!), delegations };
  refused(verifier.full(), 'key-duplicate', 'ROOT-02');
});

test.run();
