/**
 * `make kill-backend`: the backend's process killed at random instants under load (KILLS=50 SEED=1).
 * Ends with 1 when anything acknowledged was lost, or used twice.
 */
import { killBackend, summariseKills } from './kills.ts';

const defaultKills = 50;
const maxKills = 10_000;

/** A number from the environment; throws for what is none. */
function numberOf(name: string, otherwise: number, most: number): number {
  const text = process.env[name] ?? '';
  if (text === '') return otherwise;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (value < 1 || value > most) throw new Error(`${name}: expected 1 to ${most}, got '${text}'`);
  return value;
}

try {
  const kills = numberOf('KILLS', defaultKills, maxKills);
  const seed = numberOf('SEED', 1, 999_999_999);
  const print = (line: string) => process.stdout.write(`${line}\n`);
  const result = await killBackend({ kills, seed, onKill: print });
  for (const problem of result.problems) print(problem);
  const { unanswered, storedUnanswered } = result;
  print(`${unanswered} requests without an answer; ${storedUnanswered} of their manifests stored`);
  print(summariseKills(result));
  process.exitCode = result.problems.length === 0 ? 0 : 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
