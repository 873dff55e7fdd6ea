// What breaks clients between two schemas, and whether the changelog says so.
//
// A change is announced when the part `## Unreleased` of CHANGELOG.md has a section `### Breaking changes of the API`
// that names its coordinate in backticks: `Task.id`, `Query.tasks(orderBy:)`, `TaskStatus.DEAD`, `UsageBucket`.

import { BreakingChangeType, buildSchema, findBreakingChanges } from 'graphql';

const SECTION = 'Breaking changes of the API';

/** Where graphql-js puts the names in its sentences, by the kind of change. */
const SENTENCES = {
  [BreakingChangeType.TYPE_REMOVED]: [/^(?:Standard scalar )?(\w+) was removed/, '$1'],
  [BreakingChangeType.TYPE_CHANGED_KIND]: [/^(\w+) changed from/, '$1'],
  [BreakingChangeType.TYPE_REMOVED_FROM_UNION]: [/^\w+ was removed from union type (\w+)/, '$1'],
  [BreakingChangeType.VALUE_REMOVED_FROM_ENUM]: [/^(\w+) was removed from enum type (\w+)/, '$2.$1'],
  [BreakingChangeType.REQUIRED_INPUT_FIELD_ADDED]: [/^A required field (\w+) on input type (\w+)/, '$2.$1'],
  [BreakingChangeType.IMPLEMENTED_INTERFACE_REMOVED]: [/^(\w+) no longer implements/, '$1'],
  [BreakingChangeType.FIELD_REMOVED]: [/^(\w+\.\w+) was removed/, '$1'],
  [BreakingChangeType.FIELD_CHANGED_KIND]: [/^(\w+\.\w+) changed type/, '$1'],
  [BreakingChangeType.REQUIRED_ARG_ADDED]: [/^A required arg (\w+) on (\w+\.\w+)/, '$2($1:)'],
  [BreakingChangeType.ARG_REMOVED]: [/^(\w+\.\w+) arg (\w+) was removed/, '$1($2:)'],
  [BreakingChangeType.ARG_CHANGED_KIND]: [/^(\w+\.\w+) arg (\w+) has changed type/, '$1($2:)'],
};

/** What a change is about; the sentence itself where it is none that we know, which then must be announced whole. */
function coordinate({ type, description }) {
  const [sentence, names] = SENTENCES[type] ?? [];
  const found = sentence?.exec(description);
  return found ? found[0].replace(sentence, names) : description;
}

/** All that is said in backticks in the section of the unreleased part. */
function announced(changelog) {
  const unreleased = /^## Unreleased\n([^]*?)(?=^## |(?![^]))/m.exec(changelog)?.[1] ?? '';
  const section = unreleased.split(/^### /m).find((part) => part.startsWith(`${SECTION}\n`)) ?? '';
  return new Set([...section.matchAll(/`([^`\n]+)`/g)].map(([, name]) => name));
}

/** The breaking changes that `changelog` does not name, as lines that could stand there. */
export function unannounced(before, after, changelog) {
  const known = announced(changelog);
  const changes = findBreakingChanges(buildSchema(before), buildSchema(after));
  return changes
    .map((change) => ({ name: coordinate(change), why: change.description }))
    .filter(({ name }) => !known.has(name))
    .map(({ name, why }) => `- \`${name}\`: ${why}`);
}

export { SECTION };
