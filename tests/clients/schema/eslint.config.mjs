// What schema.graphql must hold to: a description on everything, and the conventions of GraphQL and of Relay.
//
// Taken whole are the plugin's sets `schema-recommended` and `schema-relay`; what is different here says why.

import graphql from '@graphql-eslint/eslint-plugin';

const { rules: recommended } = graphql.configs['flat/schema-recommended'];
const { rules: relay } = graphql.configs['flat/schema-relay'];
const schema = new URL('../../../schema.graphql', import.meta.url).pathname;
const naming = '@graphql-eslint/naming-convention';
const [severity, conventions] = recommended[naming];

export default [
  {
    files: ['**/*.graphql'],
    plugins: { '@graphql-eslint': graphql },
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema } } },
    rules: {
      ...recommended,
      ...relay,
      // on everything that can have one, and not on types alone
      '@graphql-eslint/require-description': [
        'error',
        { types: true, rootField: true, FieldDefinition: true, InputValueDefinition: true, EnumValueDefinition: true },
      ],
      // a scan type is what the platform is about: `QueueScanType` is the queue of one of them
      [naming]: [severity, { ...conventions, 'ObjectTypeDefinition,ObjectTypeExtension': { forbiddenPrefixes: ['Type'] } }],
      // values without a life of their own (counts, payloads, events) are no nodes and have no id
      '@graphql-eslint/strict-id-in-types': 'off',
      // lists that are short by nature (`errors`, `cwe`, `nodes` of a connection) need no connection, and what a page
      // lists may be a value, as the events of an alert are
      '@graphql-eslint/relay-edge-types': [
        'error',
        { withEdgeSuffix: true, shouldImplementNode: false, listTypeCanWrapOnlyEdgeType: false },
      ],
      // Relay asks for one direction at least; `last` and `before` are checked where they are
      '@graphql-eslint/relay-arguments': ['error', { includeBoth: true }],
    },
  },
];
