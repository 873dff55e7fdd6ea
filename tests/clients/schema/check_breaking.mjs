// Fails if schema.graphql breaks clients of docs/schema-baseline.graphql, the schema of the last release, and
// CHANGELOG.md does not say so.

import { readFileSync } from 'node:fs';

import { SECTION, unannounced } from './breaking.mjs';

const [before, after, changelog] = ['docs/schema-baseline.graphql', 'schema.graphql', 'CHANGELOG.md'].map((path) =>
  readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8'),
);
const missing = unannounced(before, after, changelog);
if (missing.length > 0) {
  console.error(`schema: these changes break clients; say so in CHANGELOG.md under "Unreleased", "### ${SECTION}":`);
  console.error(missing.join('\n'));
  process.exitCode = 1;
}
