/** Pairs the new Snapshot with the Targets of before: both are signed, not together (CTG-02). */
import type { Attack } from './attack.ts';
import type { Answer } from './attacker-proxy.ts';

const versioned = /(\d+)\.targets\.cbor$/;

export function mixAndMatch(): Attack {
  let director = '';
  let older: Answer | undefined;
  return {
    name: 'mix-and-match',
    position: 'outside the vehicle, in the middle',
    async prepare({ directorUrl, healthyCycles }) {
      director = directorUrl;
      await healthyCycles(1);
    },
    async intercept({ repository, path }) {
      const version = Number(versioned.exec(path)?.[1]);
      if (repository !== 'director' || !(version > 1)) return undefined;
      older ??= await answerTo(
        `${director}${path.replace(versioned, `${version - 1}.targets.cbor`)}`,
      );
      return older;
    },
  };
}

async function answerTo(url: string): Promise<Answer> {
  const response = await fetch(url);
  const body = Buffer.from(await response.arrayBuffer());
  const headers = { 'content-type': response.headers.get('content-type') ?? '' };
  return { status: response.status, headers, body };
}
