/** One process of the exploration: takes scenarios one after the other and sends back their totals. */
import { Exploration } from './explore.ts';
import { parts, type Role } from './geometries.ts';
import { createScenario, type Life } from './scenario.ts';

/** What the parent sends. */
export interface Task {
  readonly role: Role;
  /** Index in `parts`. */
  readonly part: number;
  readonly life: Life;
  readonly every: number;
  readonly seed: number;
}

process.on('message', (task: Task) => {
  explore(task).then(
    (totals) => process.send!(totals),
    (error: Error) => {
      process.stderr.write(`${error.stack}\n`);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));

async function explore({ role, part, life, every, seed }: Task) {
  const scenario = await createScenario(role, parts[part]!, life);
  return new Exploration(scenario, { every, seed }).run();
}
