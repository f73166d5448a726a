/** A vehicle that is switched on until its Primary has said what a test waits for. */
import * as assert from 'uvu/assert';
import type { PoweredAgent } from '../../backend/fleet/emulated-vehicle.ts';

const giveUpMilliseconds = 120_000;

/**
 * Switches a vehicle on until lines of its Primary match all that is wanted, in this order; then off.
 * @param wanted a function is called when what stands before it has come: only later lines count then
 * @returns the lines of the Primary
 */
export async function primaryLines(
  { agents, busAddress }: { agents: readonly PoweredAgent[]; busAddress: string },
  wanted: readonly (RegExp | (() => void))[],
): Promise<string[]> {
  // Which board it is on is read when this is loaded, and set by the test before.
  const { EmulatedVehicle } = await import('../../backend/fleet/emulated-vehicle.ts');
  const lines: string[] = [];
  let failure: string | undefined;
  const running = await EmulatedVehicle.powerOn(agents, busAddress, {
    onLine: ({ layout }, line) => {
      if (layout.name === 'primary') lines.push(line);
    },
    onFailure: ({ layout }, status) => {
      failure = `${layout.name} ended with status ${status}`;
    },
  });
  const end = performance.now() + giveUpMilliseconds;
  let from = 0;
  try {
    for (const one of wanted) {
      if (typeof one === 'function') {
        one();
        from = lines.length;
        continue;
      }
      for (;;) {
        const at = lines.slice(from).findIndex((line) => one.test(line));
        if (at >= 0) {
          from += at + 1;
          break;
        }
        assert.is(failure, undefined, lines.join('\n'));
        assert.ok(performance.now() < end, `no ${one} in\n${lines.join('\n')}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  } finally {
    await running.powerOff();
  }
  assert.ok(lines.some((line) => line.startsWith('boot slot=A image=primary-agent-1.bin')));
  return lines;
}
