// A typed client of Tamiz in a page: questions over HTTP, streams over server-sent events, uploads.
//
// `fetch` and graphql-sse do it all, so it runs in a browser as it runs in Node.

import { print } from 'graphql';
import { createClient } from 'graphql-sse';

import type { TypedDocumentNode } from '@graphql-typed-document-node/core';

/** One entry of `errors`: `extensions.code` is stable, the message is for people. */
interface AnswerError {
  message: string;
  extensions?: { code?: string };
}

/** The server refused or failed; `code` says why (docs/errors.md). */
export class TamizError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

function firstOf(errors: readonly AnswerError[]): TamizError {
  const [error] = errors;
  return new TamizError(error?.extensions?.code ?? 'UNKNOWN', error?.message ?? 'no message');
}

export class Tamiz {
  constructor(
    private readonly server: string,
    private readonly token: string,
  ) {}

  private get authorization() {
    return { authorization: `Bearer ${this.token}` };
  }

  /** Asks one question, or orders one change. */
  async ask<Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables): Promise<Data> {
    const response = await fetch(`${this.server}/graphql`, {
      method: 'POST',
      headers: {
        ...this.authorization,
        'content-type': 'application/json',
        accept: 'application/graphql-response+json',
      },
      body: JSON.stringify({ query: print(document), variables }),
    });
    const answer = (await response.json()) as { data?: Data; errors?: AnswerError[] };
    if (answer.errors || !answer.data) throw firstOf(answer.errors ?? []);
    return answer.data;
  }

  /** What a subscription tells, until it ends; leaving the loop ends it, too. */
  async *follow<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): AsyncGenerator<Data> {
    const client = createClient({ url: `${this.server}/graphql`, headers: this.authorization, retryAttempts: 0 });
    for await (const { data, errors } of client.iterate<Data>({ query: print(document), variables })) {
      if (errors || !data) throw firstOf(errors ?? []);
      yield data;
    }
  }

  /** Stores a file for a project and answers its id. */
  async upload(projectId: string, fileName: string, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
    const where = new URLSearchParams({ project: projectId, fileName });
    const response = await fetch(`${this.server}/v1/uploads?${where}`, {
      method: 'POST',
      headers: { ...this.authorization, 'content-type': 'application/json' },
      body: bytes,
    });
    const answer = (await response.json()) as { id?: string; errors?: AnswerError[] };
    if (!response.ok || answer.id === undefined) throw firstOf(answer.errors ?? []);
    return answer.id;
  }
}
