/** In place of Node's files: an emulated flash part lies in memory here. */
const absent = (): never => {
  throw new Error('there are no files here');
};

export const closeSync = absent;
export const existsSync = absent;
export const fdatasyncSync = absent;
export const fstatSync = absent;
export const fsyncSync = absent;
export const mkdirSync = absent;
export const openSync = absent;
export const readSync = absent;
export const renameSync = absent;
export const writeFileSync = absent;
export const writeSync = absent;
export const readFileSync = absent;
export const dirname = absent;
export const join = absent;
