/** Lets the Timestamp drip, a byte at a time, for ever: given up below the least rate (ECU-03). */
import type { Attack } from './attack.ts';

const dripMilliseconds = 250;

export function slowRetrieval(): Attack {
  return {
    name: 'slow-retrieval',
    position: 'outside the vehicle, in the middle',
    async intercept({ repository, path, forward }) {
      if (repository !== 'director' || !path.endsWith('/timestamp.cbor')) return undefined;
      const { headers, body } = await forward();
      return {
        write(response) {
          response.writeHead(200, { ...headers, 'content-length': String(body.length) });
          let sent = 0;
          const timer = setInterval(() => {
            response.write(body.subarray(sent, sent + 1));
            sent += 1;
            if (sent === body.length) response.end();
          }, dripMilliseconds);
          response.on('close', () => clearInterval(timer));
        },
      };
    },
  };
}
