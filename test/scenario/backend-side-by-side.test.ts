/**
 * The scenarios of the backend once more over PostgreSQL: each with two backends side by side, which
 * take the requests in turn. Neither may know of a vehicle, a counter or a version more than both.
 */
import { PostgresServer, postgresPrograms } from '../contract/postgres-server.ts';
import { runSideBySide } from './backend-fixture.ts';

const programs = postgresPrograms();
if ('missing' in programs) console.log(`skipped: 81 ${programs.missing}`);
else {
  let server: Promise<PostgresServer> | undefined;
  runSideBySide(async () => {
    server ??= PostgresServer.start(programs.folder);
    return (await server).newDatabase();
  });
  await import('./backend-manifest.test.ts');
  await import('./backend-registration.test.ts');
  await import('./backend-updates.test.ts');
  await import('./backend-publish.test.ts');
  await import('./backend-images.test.ts');
}
