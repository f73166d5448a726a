/** A short run of the fuzzer from fixed seeds, and what longer ones have found. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCampaign } from '../../fuzz/campaign.ts';
import { Coverage } from '../../fuzz/coverage.ts';
import { Broken, decoderTargets } from '../../fuzz/decoders.ts';
import { mutateBytes } from '../../fuzz/mutate.ts';
import { Random } from '../../fuzz/random.ts';
import { VerifierTarget } from '../../fuzz/verifier.ts';

const test = suite('fuzz');

for (const seed of [1, 2]) {
  test(`DBP-20: 10,000 cases from seed ${seed} break nothing`, () => {
    const run = runCampaign({ seed, cases: 10_000, verifierEvery: 128, guided: false });
    assert.equal(run.crashes, []);
    assert.ok(run.cases >= 10_000 && run.verifierCases >= 70);
  });
}

test('the same seed gives the same inputs', () => {
  const inputs = (seed: number) => {
    const random = new Random(seed);
    const bytes = new Uint8Array(Array.from({ length: 50 }, (_, i) => i));
    return Array.from({ length: 100 }, () =>
      Buffer.from(mutateBytes(random, bytes, bytes)).toString('hex'),
    );
  };
  assert.equal(inputs(5), inputs(5));
  assert.not.equal(inputs(5), inputs(6));
});

test('a decoder that accepts a second encoding would be found', () => {
  const [target] = decoderTargets(1, []);
  const lax = (input: Uint8Array) => {
    target!.check(input);
    if (input.length > 0 && input[0] === 0xbf)
      throw new Broken('an indefinite length was accepted');
  };
  const random = new Random(3);
  const found = Array.from({ length: 20_000 }).some(() => {
    try {
      lax(mutateBytes(random, random.pick(target!.seeds), random.pick(target!.seeds)));
      return false;
    } catch (error) {
      return error instanceof Broken;
    }
  });
  assert.ok(found);
});

test('a changed payload that the verifier accepts is found', () => {
  const verifier = new VerifierTarget();
  verifier.checkChanged('director/timestamp.cbor', new Uint8Array(10));
  const later = verifier.laterTimestamp();
  assert.throws(() => verifier.checkChanged('director/timestamp.cbor', later), /another payload/);
});

test('coverage tells what is new from what is not', () => {
  const coverage = new Coverage();
  const [target] = decoderTargets(1, []);
  const run = () => target!.check(target!.seeds[0]!);
  assert.ok(coverage.isNews(run));
  assert.not(coverage.isNews(run));
  assert.ok(coverage.characters > 0);
  coverage.close();
});

test.run();
