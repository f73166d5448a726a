/** An image of 1 MiB over every bus onto every kind of part, in simulated time. */
import { buses, parts, transferTime } from '../simulator/bus-time.ts';
import type { Result } from './measure.ts';

export async function benchBusTime(): Promise<Result[]> {
  const results: Result[] = [];
  for (const part of parts) {
    for (const bus of buses) {
      const { bytesPerSecond, ceiling, limit } = await transferTime(bus, part);
      const share = ((100 * bytesPerSecond) / ceiling).toFixed(1);
      const most = Math.round(ceiling).toLocaleString('en-US');
      results.push({
        name: `${bus.name}, ${part.name}`,
        value: bytesPerSecond,
        unit: 'B/s',
        note: `simulated; ${share} % of ${most} B/s, the ceiling of the ${limit}`,
      });
    }
  }
  return results;
}
