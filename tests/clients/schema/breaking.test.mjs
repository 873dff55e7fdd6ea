// The check itself: what it finds, and what it takes for an announcement.

import assert from 'node:assert/strict';
import test from 'node:test';

import { unannounced } from './breaking.mjs';

const BEFORE = `
  interface Node { id: ID! }
  type Query implements Node { id: ID! task(id: ID!): Task kinds(of: Kind, first: Int): [Kind!]! one: Either }
  type Task { name: String! }
  type Other { name: String! }
  union Either = Task | Other
  enum Kind { OLD NEW }
  input Wish { text: String }
  type Mutation { make(wish: Wish): Task }
  scalar Gone
`;

/** Lines for `BEFORE` with one text in place of another. */
function lines(text, instead, changelog = '# Changelog\n\n## Unreleased\n\n- nothing\n') {
  assert.ok(BEFORE.includes(text));
  return unannounced(BEFORE, BEFORE.replace(text, instead), changelog);
}

function names(...words) {
  return lines(...words).map((line) => /^- `([^`]+)`: /.exec(line)[1]);
}

const CASES = [
  ['scalar Gone', '', 'Gone'],
  ['type Task {', 'interface Task {', 'Task', 'Either'],
  [' | Other', '', 'Either'],
  ['OLD NEW', 'NEW', 'Kind.OLD'],
  ['text: String', 'text: String size: Int!', 'Wish.size'],
  [' implements Node', '', 'Query'],
  ['type Other { name: String!', 'type Other { title: String', 'Other.name'],
  ['type Task { name: String!', 'type Task { name: String', 'Task.name'],
  ['task(id: ID!)', 'task(id: ID!, of: Int!)', 'Query.task(of:)'],
  ['kinds(of: Kind, first: Int)', 'kinds(of: Kind)', 'Query.kinds(first:)'],
  ['kinds(of: Kind,', 'kinds(of: [Kind!],', 'Query.kinds(of:)'],
];

for (const [text, instead, ...expected] of CASES) {
  test(`${text || 'nothing'} → ${instead || 'nothing'} breaks ${expected[0]}`, () => {
    assert.ok(names(text, instead).includes(expected[0]), String(lines(text, instead)));
  });
}

test('what is only added breaks nothing', () => {
  assert.deepEqual(lines('OLD NEW', 'OLD NEW NEWEST'), []);
  assert.deepEqual(lines('text: String', 'text: String size: Int'), []);
});

const SAID = '\n### Breaking changes of the API\n\n- `Kind.OLD` is gone: ask for `NEW`.\n';

test('what is announced may break', () => {
  assert.deepEqual(lines('OLD NEW', 'NEW', `# Changelog\n\n## Unreleased\n\n- a thing\n${SAID}`), []);
  assert.deepEqual(lines('OLD NEW', 'NEW', `# Changelog\n\n## Unreleased\n${SAID}\n## 0.1.0\n`), []);
});

test('what an earlier release announced, or another section names, does not count', () => {
  for (const changelog of [
    `# Changelog\n\n## Unreleased\n\n- a thing\n\n## 0.1.0\n${SAID}`,
    '# Changelog\n\n## Unreleased\n\n- `Kind.OLD`\n',
    '# Changelog\n\n## Unreleased\n\n### Breaking changes of the API\n\n- Kind.OLD\n',
    '',
  ]) {
    assert.deepEqual(names('OLD NEW', 'NEW', changelog), ['Kind.OLD'], changelog);
  }
});
