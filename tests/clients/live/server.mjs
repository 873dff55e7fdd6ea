// The running server that these tests talk to, as scripts/check-graphql started it.
//
// TAMIZ_SERVER is its address, TAMIZ_TOKEN an admin's token, TAMIZ_COMMAND the operator's command line of the same
// data folder. Without them the tests fail, they are never skipped.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run scripts/check-graphql`);
  return value;
}

export const address = required('TAMIZ_SERVER');
export const token = required('TAMIZ_TOKEN');
const tenant = required('TAMIZ_TENANT');
const [program, ...programArguments] = required('TAMIZ_COMMAND').split(' ');

export const graphqlUrl = `${address}/graphql`;
export const websocketUrl = graphqlUrl.replace(/^http/, 'ws');
/** Longer than anything here takes on a busy machine; a test that waits longer has failed. */
export const PATIENCE = { timeout: 60_000 };

const CHECKOUT = new URL('../../../', import.meta.url);
const SMALL_REPORT = new URL('plugins/codeaudit/cases/semgrep/vulnshop.json', CHECKOUT);

/** Sends one operation over plain HTTP and answers its data. */
export async function ask(query, variables = {}) {
  const response = await fetch(graphqlUrl, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

/** The project of this name, made if it is not there. */
export async function projectOf(name) {
  const found = await ask('query($name: String!) { projects(filter: { name: $name }) { nodes { id } } }', { name });
  if (found.projects.nodes.length > 0) return found.projects.nodes[0].id;
  const made = await ask(
    'mutation($name: String!) { createProject(input: { name: $name }) { project { id } errors { code message } } }',
    { name },
  );
  assert.deepEqual(made.createProject.errors, []);
  return made.createProject.project.id;
}

/** Uploads a small report and asks for its import: a real task, whose id is answered at once. */
export async function importSmallReport(projectName) {
  const projectId = await projectOf(projectName);
  const upload = await fetch(`${address}/v1/uploads?project=${projectId}&fileName=report.json`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: readFileSync(SMALL_REPORT),
  });
  assert.equal(upload.status, 201, await upload.clone().text());
  const { id: uploadId } = await upload.json();
  const asked = await ask(
    'mutation($input: ImportReportInput!) { importReport(input: $input) { task { id } errors { code message } } }',
    { input: { projectId, uploadId, scanType: 'codeaudit' } },
  );
  assert.deepEqual(asked.importReport.errors, []);
  return asked.importReport.task.id;
}

/** Runs a command of the operator on the server's own data. */
function operator(...words) {
  return execFileSync(program, [...programArguments, ...words], { cwd: CHECKOUT, encoding: 'utf8', stdio: 'pipe' });
}

/** A further token of the tenant that can be revoked. */
export function makeToken(name) {
  const secret = operator('token', 'create', '--tenant', tenant, '--name', name, '--role', 'viewer').trim();
  const line = operator('token', 'list', '--tenant', tenant)
    .split('\n')
    .find((text) => text.includes(name) && text.includes('live'));
  const [id] = line.trim().split(/\s+/);
  return { secret, revoke: () => operator('token', 'revoke', id) };
}

const TASK_EVENTS =
  'subscription($task: ID!, $after: Int) { taskEvents(taskId: $task, after: $after) { seq status phase } }';

/** The events of a task over either kind of client. */
export function follow(connection, task, after = 0) {
  return connection.iterate({ query: TASK_EVENTS, variables: { task, after } });
}

/** All of them, once there are no more. */
export async function eventsOf(results) {
  const events = [];
  for await (const { data, errors } of results) {
    assert.equal(errors, undefined, JSON.stringify(errors));
    events.push(data.taskEvents);
  }
  return events;
}

/** Fails unless these are all events of a task that succeeded, each once and in order. */
export function assertWholeLife(events) {
  assert.deepEqual(
    events.map((event) => event.seq),
    events.map((_, index) => index + 1),
  );
  assert.ok(events.length >= 3, `only ${events.length} events`);
  assert.equal(events[0].status, 'QUEUED');
  assert.equal(events.at(-1).status, 'COMPLETED');
}
