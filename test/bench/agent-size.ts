/** Bytes of the agent's programs, as they lie in a slot. */
import { buildAgent } from '../../boards/build.ts';
import type { Result } from './measure.ts';

export async function benchAgentSize(): Promise<Result[]> {
  const results: Result[] = [];
  for (const program of ['primary', 'secondary'] as const) {
    const outfile = `out/build/bench/${program}.js`;
    const { bytes } = await buildAgent({ program, release: 1, outfile, runtime: 'node' });
    results.push({
      name: `agent bundle, ${program}`,
      value: bytes.length,
      unit: 'bytes',
      note: 'minified',
    });
  }
  return results;
}
