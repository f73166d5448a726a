import { parts } from './geometries.ts';
import { createScenario, type Life } from './scenario.ts';
import { Exploration } from './explore.ts';
const [role, part, life, every] = process.argv.slice(2);
const s = await createScenario(role as never, parts[Number(part)]!, life as Life);
const t = await new Exploration(s, { every: Number(every), seed: 1 }).run();
console.log(role, life, t.points, t.fired, t.planned, t.bricked, t.lost, t.failures.map((f) => f.slice(0, 400)));
