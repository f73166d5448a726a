/** Makes one plain JavaScript file of a test and the project's modules it imports. */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';

/**
 * A bundled module keeps knowing where its source lies, and that it is not the program: without
 * this, every module guarded by `import.meta.main` would start itself inside the bundle.
 */
export const sourceLocations: Plugin = {
  name: 'source-locations',
  setup(builder) {
    builder.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const source = (await readFile(path, 'utf8')).replace(/^#!/, '//');
      const url = JSON.stringify(pathToFileURL(path).href);
      const filename = JSON.stringify(path);
      const folder = JSON.stringify(dirname(path));
      // On the first line, so that line numbers stay.
      const constants = `const source$url=${url},source$filename=${filename},source$dirname=${folder};`;
      return { contents: constants + source, loader: 'ts', resolveDir: dirname(path) };
    });
  },
};

function inPlaceOf(standIns: Readonly<Record<string, string>>): Plugin {
  return {
    name: 'stand-ins',
    setup(builder) {
      builder.onResolve({ filter: /./ }, ({ path }) => {
        const standIn = standIns[path];
        return standIn === undefined ? undefined : { path: standIn };
      });
    },
  };
}

export const definitions = {
  'import.meta.url': 'source$url',
  'import.meta.filename': 'source$filename',
  'import.meta.dirname': 'source$dirname',
  'import.meta.main': 'false',
};

/**
 * Bundles the test at `source` into `outfile`; npm packages stay outside.
 * @param standIns modules for packages, by exactly the name under which these are imported
 * @returns the bundler's messages when it could not, undefined otherwise
 */
export async function bundleTest(
  source: string,
  outfile: string,
  standIns: Readonly<Record<string, string>> = {},
): Promise<string | undefined> {
  try {
    await build({
      entryPoints: [source],
      outfile,
      bundle: true,
      platform: 'node',
      target: 'node24',
      format: 'esm',
      packages: 'external',
      sourcemap: 'inline',
      logLevel: 'silent',
      define: definitions,
      plugins: [sourceLocations, inPlaceOf(standIns)],
    });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
