/**
 * `make dos`: each attack that succeeded on the peer, replayed against a real backend and, where a
 * server attacks, against the vehicle's client. Ends with 1 when one of them succeeds.
 */
import { replayAttacks } from './replay.ts';

const widths = [41, 58, 8] as const;
const row = (...cells: readonly string[]) =>
  `${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' ')}\n`;

process.stdout.write(row('attack', 'at the peer', 'here', 'what came of it'));
const results = await replayAttacks();
for (const { attack, refused, detail } of results) {
  process.stdout.write(row(attack.name, attack.peer, refused ? 'refused' : 'SUCCEEDS', detail));
}
const refused = results.filter((result) => result.refused).length;
process.stdout.write(`${results.length} attacks replayed, ${refused} refused\n`);
process.exitCode = refused === results.length ? 0 : 1;
