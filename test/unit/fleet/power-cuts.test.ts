/** Which ECU may be cut how often, and what a person may ask for (VER-01). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { maxBundleAttempts, maxFailedTrials } from '../../../agent/limits.ts';
import { readDemoOptions } from '../../../backend/fleet/demo-options.ts';
import type { PoweredAgent } from '../../../backend/fleet/emulated-vehicle.ts';
import { PowerCuts } from '../../../backend/fleet/power-cuts.ts';
import { agentLayouts, agentNames } from '../../../backend/fleet/vehicle-layout.ts';

const test = suite('Power cuts');
const agents: PoweredAgent[] = agentNames.map((name) => ({
  layout: agentLayouts[name],
  description: '',
}));
const line = { event: 'progress', fields: { stage: 'install' } };

/** Cuts ECUs that always or never are starting, while lines keep coming, and returns who was hit. */
async function victims(options: {
  starting: boolean;
  hits?: boolean;
  seed?: number;
  ends: number;
}) {
  const cut: string[] = [];
  const cuts = new PowerCuts({
    agents,
    count: 100,
    seed: options.seed ?? 1,
    vehicle: { isStarting: () => options.starting, cutPower: async () => options.hits ?? true },
    onCut: ({ layout }) => {
      cut.push(layout.name);
      if (cut.length === options.ends) cuts.stop();
    },
  });
  const lines = setInterval(() => {
    for (const agent of agents) cuts.line(agent, line);
  }, 1);
  const stopped = options.hits === false && setTimeout(() => cuts.stop(), 200);
  await cuts.run();
  clearInterval(lines);
  clearTimeout(stopped || undefined);
  assert.is(cuts.done, cut.length);
  return cut;
}

test('no ECU loses as many trial boots as make it give an image up', async () => {
  const ends = agents.length * (maxFailedTrials - 1);
  const cut = await victims({ starting: true, ends });
  for (const name of agentNames) {
    assert.is(cut.filter((one) => one === name).length, maxFailedTrials - 1, name);
  }
});

test('no ECU is cut as often as the bundle has attempts; then the cuts end by themselves', async () => {
  const cut = await victims({ starting: false, ends: 1_000 });
  for (const name of agentNames) {
    assert.is(cut.filter((one) => one === name).length, maxBundleAttempts - 1, name);
  }
});

test('a seed chooses the ECUs; a cut that came too late does not count', async () => {
  const first = await victims({ starting: false, seed: 7, ends: 8 });
  assert.equal(await victims({ starting: false, seed: 7, ends: 8 }), first);
  assert.not.equal(await victims({ starting: false, seed: 8, ends: 8 }), first);
  assert.equal(await victims({ starting: false, hits: false, ends: 8 }), []);
});

test('KILLS and SEED are whole numbers; every mistake is named', () => {
  const kills = (environment: Record<string, string>) => {
    const options = readDemoOptions(environment);
    return isRefusal(options) ? options.detail : options.kills;
  };
  assert.is(kills({}), undefined);
  assert.equal(kills({ KILLS: '100', SEED: '4294967295' }), { count: 100, seed: 4_294_967_295 });
  assert.equal(kills({ KILLS: '1' }), { count: 1, seed: 1 });
  for (const [environment, word] of [
    [{ KILLS: '0' }, 'KILLS=0: expected 1 to 100'],
    [{ KILLS: '101' }, 'KILLS=101'],
    [{ KILLS: '5', SEED: '4294967296' }, 'SEED=4294967296: expected 0 to 4294967295'],
    [{ SEED: '5' }, 'give KILLS=n too'],
    [{ KILLS: '5', OFFLINE: '1' }, 'KILLS= excludes'],
    [{ KILLS: 'x', SEED: '-1', ATTACK: 'freeze' }, 'KILLS=x'],
    [{ KILLS: 'x', SEED: '-1', ATTACK: 'freeze' }, 'SEED=-1'],
    [{ KILLS: 'x', SEED: '-1', ATTACK: 'freeze' }, 'KILLS= excludes'],
  ] as const) {
    assert.match(String(kills(environment)), word);
  }
});

test.run();
