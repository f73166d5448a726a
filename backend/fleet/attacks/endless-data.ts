/** Answers with a Timestamp that never ends: cut at the configured bound (CTS-01). */
import type { Attack } from './attack.ts';

const piece = Buffer.alloc(4_096, 0x5a);

export function endlessData(): Attack {
  return {
    name: 'endless-data',
    position: 'outside the vehicle, in the middle',
    async intercept({ repository, path }) {
      if (repository !== 'director' || !path.endsWith('/timestamp.cbor')) return undefined;
      return {
        write(response) {
          response.writeHead(200, { 'content-type': 'application/cbor' });
          const more = () => {
            while (!response.destroyed && response.write(piece));
          };
          response.on('drain', more);
          more();
        },
      };
    },
  };
}
