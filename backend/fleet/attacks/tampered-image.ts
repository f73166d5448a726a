/** Changes one bit of the image on its way: the ciphertext's hash no longer fits (PRI-09). */
import type { Attack } from './attack.ts';

export function tamperedImage(): Attack {
  return {
    name: 'tampered-image',
    position: 'outside the vehicle, in the middle',
    async intercept({ path, forward }) {
      if (!path.startsWith('/targets/')) return undefined;
      const answer = await forward();
      const body = answer.body.slice();
      const middle = Math.floor(body.length / 2);
      if (body.length > 0) body[middle] = body[middle]! ^ 1;
      return { ...answer, body };
    },
  };
}
