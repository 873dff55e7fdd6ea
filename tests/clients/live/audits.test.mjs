// GraphQL over HTTP as its specification says: every audit of graphql-http, the recommended ones too.

import assert from 'node:assert/strict';
import test from 'node:test';

import { serverAudits } from 'graphql-http';

import { graphqlUrl, PATIENCE, token } from './server.mjs';

/** Those of the pinned version, so that an update that loses some is seen. */
const AUDITS = 61;

function withToken(url, options) {
  return fetch(url, { ...options, headers: { ...options?.headers, authorization: `Bearer ${token}` } });
}

const audits = serverAudits({ url: graphqlUrl, fetchFn: withToken });

test('the suite is whole', () => assert.equal(audits.length, AUDITS));

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, PATIENCE, async () => {
    const result = await audit.fn();
    assert.equal(result.status, 'ok', result.reason);
  });
}
