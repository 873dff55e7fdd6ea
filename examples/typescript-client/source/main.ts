// Imports a report of semgrep into the project `typescript`, follows the task to its end and lists the alerts.
//
//   TAMIZ_SERVER=http://127.0.0.1:8600 TAMIZ_TOKEN=tmz_… npm start -- report.json

import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

import { AlertPage, CreateProject, FindProject, FollowTask, ImportReport } from './documents.js';
import { Tamiz, TamizError } from './tamiz.js';

import type { AlertLineFragment, TaskStatus } from './generated/graphql.js';

/** Lines that break are joined again so often; the cursor sees to it that nothing is told twice. */
const RECONNECTS_MAX = 5;

/** A refusal is data: the payload's `errors`. */
function granted<Granted>(value: Granted | null | undefined, errors: { code: string; message: string }[]): Granted {
  const [error] = errors;
  if (error) throw new TamizError(error.code, error.message);
  if (value === null || value === undefined) throw new TamizError('UNKNOWN', 'neither an answer nor a refusal');
  return value;
}

async function projectId(tamiz: Tamiz, name: string): Promise<string> {
  const { projects } = await tamiz.ask(FindProject, { name });
  const [found] = projects.nodes;
  if (found) return found.id;
  const { createProject } = await tamiz.ask(CreateProject, { name });
  return granted(createProject.project, createProject.errors).id;
}

/** Tells each event of a task once, whatever happens to the line, and answers how the task ended. */
async function followToTheEnd(tamiz: Tamiz, task: string): Promise<TaskStatus | undefined> {
  let after = 0;
  let status: TaskStatus | undefined;
  for (let attempt = 0; ; attempt += 1) {
    try {
      for await (const { taskEvents: event } of tamiz.follow(FollowTask, { task, after })) {
        console.log(`${event.seq} ${event.status} ${event.phase} ${event.message}`);
        ({ seq: after, status } = event);
      }
      return status;
    } catch (error) {
      // what the server said will not change by asking again; a broken line will
      if (error instanceof TamizError || attempt === RECONNECTS_MAX) throw error;
    }
  }
}

/** All alerts of a project that nobody has decided on, page by page. */
async function* alerts(tamiz: Tamiz, project: string): AsyncGenerator<AlertLineFragment> {
  let after: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof alertPage>> = await alertPage(tamiz, project, after);
    yield* page.nodes;
    after = page.pageInfo.hasNextPage ? (page.pageInfo.endCursor ?? null) : null;
  } while (after !== null);
}

async function alertPage(tamiz: Tamiz, project: string, after: string | null) {
  const answer = await tamiz.ask(AlertPage, { project, after });
  if (!answer.project) throw new TamizError('NOT_FOUND', 'the project is gone');
  return answer.project.alerts;
}

async function main(report: string | undefined) {
  const { TAMIZ_SERVER: server, TAMIZ_TOKEN: token } = process.env;
  if (!server || !token || !report) throw new Error('usage: TAMIZ_SERVER=… TAMIZ_TOKEN=… npm start -- report.json');
  const tamiz = new Tamiz(server, token);

  const project = await projectId(tamiz, 'typescript');
  const uploadId = await tamiz.upload(project, basename(report), new Uint8Array(await readFile(report)));
  const { importReport } = await tamiz.ask(ImportReport, {
    input: { projectId: project, uploadId, scanType: 'codeaudit' },
  });
  const task = granted(importReport.task, importReport.errors);
  const status = await followToTheEnd(tamiz, task.id);
  if (status !== 'COMPLETED') throw new TamizError(String(status), 'the task did not end well');

  let count = 0;
  for await (const alert of alerts(tamiz, project)) {
    console.log(`${alert.severity} ${alert.ruleId} ${alert.file ?? ''}:${alert.line ?? ''} ${alert.title}`);
    count += 1;
  }
  console.log(`${count} alerts`);
}

await main(process.argv[2]);
