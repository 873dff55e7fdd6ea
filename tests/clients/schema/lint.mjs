// Runs the linter over schema.graphql, without the directives of the specification: their texts are not ours.

import { readFileSync } from 'node:fs';

import { ESLint } from 'eslint';
import { parse, isSpecifiedDirective } from 'graphql';

const cwd = new URL('../../../', import.meta.url).pathname;
const text = readFileSync(`${cwd}schema.graphql`, 'utf8');

/** As many lines and columns as before, so that what is reported lies where it says. */
function withoutStandardDirectives() {
  let kept = text;
  for (const { kind, loc, name } of parse(text).definitions) {
    if (kind === 'DirectiveDefinition' && isSpecifiedDirective({ name: name.value })) {
      const blank = text.slice(loc.start, loc.end).replace(/[^\n]/g, ' ');
      kept = kept.slice(0, loc.start) + blank + kept.slice(loc.end);
    }
  }
  return kept;
}

const eslint = new ESLint({ cwd, overrideConfigFile: `${cwd}tests/clients/schema/eslint.config.mjs` });
const results = await eslint.lintText(withoutStandardDirectives(), { filePath: 'schema.graphql' });
const formatter = await eslint.loadFormatter('stylish');
process.stdout.write(await formatter.format(results));
process.exitCode = results.some((result) => result.errorCount + result.warningCount > 0) ? 1 : 0;
